package org.hwnas.example

import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.Matrix
import android.net.Uri
import android.os.Bundle
import android.widget.Button
import android.widget.ImageView
import android.widget.TextView
import androidx.activity.ComponentActivity
import androidx.activity.result.PickVisualMediaRequest
import androidx.activity.result.contract.ActivityResultContracts.PickVisualMedia
import androidx.exifinterface.media.ExifInterface
import java.util.concurrent.Executors

private const val SHOWN = 5

/** One button: pick an image, see what it is. */
class MainActivity : ComponentActivity() {
    private val worker = Executors.newSingleThreadExecutor()
    private val classifier by lazy { Classifier(assets) }
    private val picker = registerForActivityResult(PickVisualMedia()) { uri -> if (uri != null) show(uri) }

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.activity_main)
        findViewById<Button>(R.id.pick).setOnClickListener { picker.launch(PickVisualMediaRequest(PickVisualMedia.ImageOnly)) }
    }

    override fun onDestroy() {
        worker.shutdown()
        super.onDestroy()
    }

    private fun show(uri: Uri) {
        worker.execute {
            val image = upright(uri)
            val text =
                if (image == null) {
                    getString(R.string.no_image)
                } else {
                    classifier.classify(image).take(SHOWN).joinToString("\n") { (label, share) -> "%6.2f %%  %s".format(100 * share, label) }
                }
            runOnUiThread {
                findViewById<ImageView>(R.id.image).setImageBitmap(image)
                findViewById<TextView>(R.id.answers).text = text
            }
        }
    }

    /** The image, turned as its EXIF orientation says. */
    private fun upright(uri: Uri): Bitmap? {
        val image = contentResolver.openInputStream(uri)?.use { BitmapFactory.decodeStream(it) } ?: return null
        val exif = contentResolver.openInputStream(uri)?.use { ExifInterface(it) } ?: return image
        val turn = Matrix().apply { if (exif.isFlipped) postScale(-1f, 1f) }
        turn.postRotate(exif.rotationDegrees.toFloat())
        return Bitmap.createBitmap(image, 0, 0, image.width, image.height, turn, true)
    }
}
