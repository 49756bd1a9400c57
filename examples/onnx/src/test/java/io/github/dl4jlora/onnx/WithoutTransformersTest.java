package io.github.dl4jlora.onnx;

import io.github.dl4jlora.conf.SaveOption;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.activations.Activation;

import java.io.IOException;
import java.io.InputStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** The module of transformers is an optional dependency. */
class WithoutTransformersTest {

    /** Loads the exporter's classes itself, and knows no transformers. */
    private static final class Hiding extends ClassLoader {

        private static final String EXPORTER = "io.github.dl4jlora.onnx.";
        private static final String HIDDEN = "io.github.dl4jlora.transformers.";

        Hiding() {
            super(WithoutTransformersTest.class.getClassLoader());
        }

        @Override
        protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            if (name.startsWith(HIDDEN)) {
                throw new ClassNotFoundException(name);
            }
            return name.startsWith(EXPORTER) ? own(name) : super.loadClass(name, resolve);
        }

        private Class<?> own(String name) throws ClassNotFoundException {
            Class<?> loaded = findLoadedClass(name);
            if (loaded != null) {
                return loaded;
            }
            try (InputStream file = getResourceAsStream(name.replace('.', '/') + ".class")) {
                byte[] bytes = file.readAllBytes();
                return defineClass(name, bytes, 0, bytes.length);
            } catch (IOException e) {
                throw new ClassNotFoundException(name, e);
            }
        }
    }

    @Test
    void otherNetworksAreWrittenAllTheSame(@TempDir Path folder) throws Exception {
        MultiLayerNetwork network = Initialised.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new OutputLayer.Builder().nIn(3).nOut(2).activation(Activation.SOFTMAX).build()).build());
        Path file = folder.resolve("network.onnx");
        Class<?> exporter = new Hiding().loadClass(OnnxExport.class.getName());

        exporter.getMethod("write", Model.class, Path.class, SaveOption[].class).invoke(null, network, file, new SaveOption[0]);

        assertThat(file).isNotEmptyFile();
        Object export = exporter.getMethod("of", Model.class).invoke(null, network);
        assertThatThrownBy(() -> exporter.getMethod("forText").invoke(export)).isInstanceOf(InvocationTargetException.class)
                .cause().hasMessageStartingWith("forText(): the network has no TokenEmbeddings");
    }
}
