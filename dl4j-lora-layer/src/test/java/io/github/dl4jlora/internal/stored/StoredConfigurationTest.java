package io.github.dl4jlora.internal.stored;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;

import java.io.IOException;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Configurations are in the encoding of the machine that wrote them; what they refer to is found whatever layers are called. */
class StoredConfigurationTest {

    private static final String JSON = "{\"layerName\": \"gr\u00f6\u00dfe\"}";

    private static String read(Charset written, Charset machines) throws IOException {
        return new String(StoredConfiguration.inUtf8(JSON.getBytes(written), machines), StandardCharsets.UTF_8);
    }

    @Test
    void utf8IsReadEverywhere() throws IOException {
        assertThat(read(StandardCharsets.UTF_8, StandardCharsets.UTF_8)).isEqualTo(JSON);
        assertThat(read(StandardCharsets.UTF_8, StandardCharsets.ISO_8859_1)).isEqualTo(JSON);
    }

    /** What a base holds for it is recorded, but a file need not have it. */
    @ParameterizedTest
    @ValueSource(strings = {"head", "frozen", "trainedInFull"})
    void frozenWeightsAreNotThoseOfALayerThatTrainsWhateverItsName(String name) throws IOException {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new DenseLayer.Builder().nIn(3).nOut(4).name("body").build())
                .layer(new OutputLayer.Builder().nIn(4).nOut(2).activation(Activation.SOFTMAX).name(name).build()).build());
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(1).trainable(name).build());
        List<String> ids = new ArrayList<>();

        StoredConfiguration.checked(tuned.getLayerWiseConfigurations().toJson().getBytes(StandardCharsets.UTF_8), ids::add);

        assertThat(ids).hasSize(1);
    }

    @Test
    void whatIsNoUtf8IsInTheEncodingOfTheMachine() throws IOException {
        assertThat(read(StandardCharsets.ISO_8859_1, StandardCharsets.ISO_8859_1)).isEqualTo(JSON);
        assertThatThrownBy(() -> read(StandardCharsets.ISO_8859_1, StandardCharsets.UTF_8)).isInstanceOf(IOException.class)
                .hasMessageContaining("not in UTF-8");
    }
}
