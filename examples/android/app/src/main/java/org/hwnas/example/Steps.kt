package org.hwnas.example

import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import org.json.JSONArray
import org.json.JSONObject
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs
import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min

/** What has to be done to an image before the network sees it: preprocessing.json. */
class Steps(json: String) {
    private val told = JSONObject(json)
    val size: Int = told.getInt("size")
    private val grey = told.getString("colour") == "L"
    private val scale = told.getDouble("scale").toFloat()
    private val mean = floats(told.getJSONArray("mean"))
    private val std = floats(told.getJSONArray("std"))
    private val channels = if (grey) 1 else 3

    init {
        require(told.getString("layout") == "NHWC") { "a TFLite model takes its channels last" }
        require(mean.size == channels && std.size == channels) { "mean and std are not of $channels channel(s)" }
    }

    /** The input for one upright image, float32, (1, size, size, channels). */
    fun input(image: Bitmap): ByteBuffer {
        val (values, side) = square(image)
        val weights = triangle(side)
        val across = passed(values, side, weights, { line, at -> line * side + at }, { line, to -> line * size + to })
        val small = passed(across, size, weights, { line, at -> at * size + line }, { line, to -> to * size + line })
        val out = ByteBuffer.allocateDirect(4 * small.size).order(ByteOrder.nativeOrder())
        for (index in small.indices) {
            val channel = index % channels
            out.putFloat((small[index] / scale - mean[channel]) / std[channel])
        }
        out.rewind()
        return out
    }

    /** The largest centred square over white, grey (ITU-R 601-2) or RGB, and its side. */
    private fun square(image: Bitmap): Pair<IntArray, Int> {
        val side = min(image.width, image.height)
        val opaque = Bitmap.createBitmap(side, side, Bitmap.Config.ARGB_8888)
        val canvas = Canvas(opaque)
        canvas.drawColor(Color.WHITE)
        canvas.drawBitmap(image, -((image.width - side) / 2).toFloat(), -((image.height - side) / 2).toFloat(), null)
        val pixels = IntArray(side * side)
        opaque.getPixels(pixels, 0, side, 0, 0, side, side)
        val values = IntArray(side * side * channels)
        pixels.forEachIndexed { index, pixel ->
            val rgb = intArrayOf(Color.red(pixel), Color.green(pixel), Color.blue(pixel))
            if (grey) values[index] = (19595 * rgb[0] + 38470 * rgb[1] + 7471 * rgb[2] + 32768) shr 16
            else rgb.copyInto(values, index * channels)
        }
        return Pair(values, side)
    }

    /** One pass of the bilinear resizing with antialiasing, rounded to 8 bits. */
    private fun passed(
        values: IntArray,
        lines: Int,
        weights: List<Pair<Int, FloatArray>>,
        from: (Int, Int) -> Int,
        into: (Int, Int) -> Int,
    ): IntArray {
        val out = IntArray(lines * weights.size * channels)
        for (line in 0 until lines) {
            weights.forEachIndexed { to, (begin, shares) ->
                for (channel in 0 until channels) {
                    var sum = 0.0
                    shares.forEachIndexed { offset, share -> sum += share * values[from(line, begin + offset) * channels + channel] }
                    out[into(line, to) * channels + channel] = floor(sum + 0.5).toInt().coerceIn(0, 255)
                }
            }
        }
        return out
    }

    /** For each value of the new line, where the values of the old one that count begin, and how much they count. */
    private fun triangle(before: Int): List<Pair<Int, FloatArray>> {
        val ratio = before.toDouble() / size
        val reach = max(ratio, 1.0)
        return List(size) { index ->
            val centre = (index + 0.5) * ratio
            val all = DoubleArray(before) { at -> max(0.0, 1 - abs(at + 0.5 - centre) / reach) }
            val begin = all.indexOfFirst { it > 0 }
            val shares = all.sliceArray(begin..all.indexOfLast { it > 0 })
            val sum = shares.sum()
            Pair(begin, FloatArray(shares.size) { (shares[it] / sum).toFloat() })
        }
    }

    private fun floats(array: JSONArray) = FloatArray(array.length()) { array.getDouble(it).toFloat() }
}
