package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.Networks;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.IOException;
import java.nio.file.Files;
import java.util.Arrays;

/** What DL4J's ModelSerializer wrote of a network's parameters, spoiled: refused whoever reads it. */
abstract class HostileParameters extends HostileFile {

    /** How many the sound file has. */
    abstract int parameters();

    static MultiLayerNetwork lstm() {
        return Networks.of(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1))
                .list().layer(new LSTM.Builder().name("lstm").nIn(3).nOut(4).activation(Activation.TANH).build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MSE).nIn(4).nOut(2).activation(Activation.IDENTITY)
                        .build()).build());
    }

    @ParameterizedTest
    @ValueSource(longs = {1L << 20, 1L << 40, Long.MAX_VALUE, -1, 0})
    void parametersThatDeclareAnotherLengthThanTheConfigurationsAreRefused(long length) throws IOException {
        entries.put(COEFFICIENTS, header("FLOAT", length));

        refused(COEFFICIENTS, "declares " + length + " values", "the configuration asks for " + parameters());
    }

    @ParameterizedTest
    @ValueSource(strings = {"COMPRESSED", "LONG", "BOOL", "UTF8"})
    void parametersThatAreNoFloatingPointNumbersAreRefused(String type) throws IOException {
        entries.put(COEFFICIENTS, joined(header(type, parameters()), new byte[parameters() * 8]));

        refused(COEFFICIENTS, "of type " + type);
    }

    @Test
    void parametersThatEndEarlyOrGoOnAreRefused() throws IOException {
        byte[] whole = entries.get(COEFFICIENTS);
        entries.put(COEFFICIENTS, Arrays.copyOf(whole, whole.length - 1));
        refused(COEFFICIENTS, "end early");

        entries.put(COEFFICIENTS, Arrays.copyOf(whole, whole.length + 1));
        refused(COEFFICIENTS, "followed by surplus");
    }

    @ParameterizedTest
    @ValueSource(strings = {COEFFICIENTS, "configuration.json"})
    void aWrongChecksumIsFound(String entry) throws IOException {
        Files.write(file, withCrc(Files.readAllBytes(file), entry, entries.get(entry)));

        loadIsRefused(entry, "checksum");
    }
}
