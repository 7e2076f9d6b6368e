package org.hwnas.example

import android.content.res.AssetManager
import android.graphics.Bitmap
import org.json.JSONObject
import org.tensorflow.lite.Interpreter
import java.io.Closeable
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.security.MessageDigest
import kotlin.math.exp

const val MODEL = "model.tflite"
const val LABELS = "labels.txt"
const val PREPROCESSING = "preprocessing.json"
const val MANIFEST = "manifest.json"

/** A model that `hwnas ci` wrote, with its labels and its preprocessing, from the app's assets. */
class Classifier(assets: AssetManager) : Closeable {
    val labels: List<String> = text(assets, LABELS).trimEnd().lines()
    private val steps = Steps(text(assets, PREPROCESSING))
    private val interpreter: Interpreter

    init {
        val bytes = assets.open(MODEL).use { it.readBytes() }
        require(sha256(bytes) in known(text(assets, MANIFEST))) { "$MODEL is not a file that $MANIFEST vouches for" }
        val buffer = ByteBuffer.allocateDirect(bytes.size).order(ByteOrder.nativeOrder()).put(bytes)
        buffer.rewind()
        interpreter = Interpreter(buffer, Interpreter.Options().setNumThreads(1))
    }

    /** Every class with its probability, the likeliest first. */
    fun classify(image: Bitmap): List<Pair<String, Float>> {
        val logits = Array(1) { FloatArray(labels.size) }
        interpreter.run(steps.input(image), logits)
        val largest = logits[0].max()
        val powers = logits[0].map { exp(it - largest) }
        val sum = powers.sum()
        return labels.zip(powers.map { it / sum }).sortedByDescending { it.second }
    }

    override fun close() = interpreter.close()

    /** The SHA-256 of every file that the manifest lists. */
    private fun known(manifest: String): Set<String> {
        val files = JSONObject(manifest).getJSONArray("files")
        return List(files.length()) { files.getJSONObject(it).getString("sha256") }.toSet()
    }

    private fun sha256(bytes: ByteArray): String =
        MessageDigest.getInstance("SHA-256").digest(bytes).joinToString("") { "%02x".format(it) }

    private fun text(assets: AssetManager, name: String): String = assets.open(name).bufferedReader().use { it.readText() }
}
