plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
}

android {
    namespace = "org.hwnas.example"
    compileSdk = 35

    defaultConfig {
        applicationId = "org.hwnas.example"
        minSdk = 24
        targetSdk = 35
        versionCode = 1
        versionName = "1.0"
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }

    kotlinOptions { jvmTarget = "17" }

    // the interpreter maps the model straight from the app's file
    androidResources { noCompress += "tflite" }
}

dependencies {
    implementation("androidx.activity:activity-ktx:1.9.3")
    implementation("androidx.exifinterface:exifinterface:1.3.7")
    implementation("com.google.ai.edge.litert:litert:1.4.1")
}

// The folder of one budget that `hwnas ci` wrote, and which model file of it.
val hwnasModel = providers.gradleProperty("hwnasModel")
val hwnasFile = providers.gradleProperty("hwnasFile").orElse("model.tflite")

val copyModel by tasks.registering(Copy::class) {
    val folder = rootProject.layout.projectDirectory.dir(hwnasModel.orElse("model"))
    doFirst {
        require(folder.get().file(hwnasFile.get()).asFile.isFile) {
            "${folder.get().asFile}: no ${hwnasFile.get()}; give -PhwnasModel=FOLDER, the folder of one budget below dist/"
        }
    }
    from(folder) {
        include(hwnasFile.get(), "labels.txt", "preprocessing.json", "manifest.json")
        rename { name -> if (name == hwnasFile.get()) "model.tflite" else name }
    }
    into(layout.projectDirectory.dir("src/main/assets"))
}

tasks.named("preBuild") { dependsOn(copyModel) }
