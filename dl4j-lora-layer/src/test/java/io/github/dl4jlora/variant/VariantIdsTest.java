package io.github.dl4jlora.variant;

import io.github.dl4jlora.layer.LoRADenseLayer;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** A saved network names our variants, not their classes, and one that names classes is still read. */
class VariantIdsTest {

    /** A user's own. */
    public static final class Own implements Variant {

        private static final long serialVersionUID = 1L;

        @Override
        public String name() {
            return "LoRA";
        }

        @Override
        public List<Parameter> parameters(long nIn, long nOut, int rank) {
            return new PlainLoRA().parameters(nIn, nOut, rank);
        }
    }

    private static String json(Variant variant) {
        return new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new LoRADenseLayer.Builder().nIn(4).nOut(3).rank(2).variant(variant).build())
                .layer(new OutputLayer.Builder().nOut(2).build()).build().toJson();
    }

    private static Variant read(String json) {
        return ((LoRADenseLayer) MultiLayerConfiguration.fromJson(json).getConf(0).getLayer()).getLora().variant();
    }

    @ParameterizedTest
    @CsvSource({"LoRA, PlainLoRA", "LoRA-FA, FrozenALoRA", "DoRA, DoRA"})
    void oursGoByNameAndAreReadByClassToo(String name, String type) throws Exception {
        String className = "io.github.dl4jlora.variant." + type;
        Variant variant = (Variant) Class.forName(className).getConstructor().newInstance();

        String json = json(variant);

        assertThat(json).contains("\"@class\" : \"" + name + "\"").doesNotContain(className);
        assertThat(read(json)).isEqualTo(variant);
        assertThat(read(json.replace("\"" + name + "\"", "\"" + className + "\""))).isEqualTo(variant);
    }

    @Test
    void othersGoByClassWhateverTheyAreCalled() {
        String json = json(new Own());

        assertThat(json).contains(Own.class.getName());
        assertThat(read(json)).isInstanceOf(Own.class);
    }

    /** Foreign, and not to be run. */
    static final class Evil {

        static {
            System.setProperty("dl4jlora.evil", "ran");
        }
    }

    @Test
    void aForeignClassIsRefusedBeforeItIsInitialised() {
        String json = json(new DoRA()).replace("\"DoRA\"", "\"" + VariantIdsTest.class.getName() + "$Evil\"");

        assertThatThrownBy(() -> read(json)).hasStackTraceContaining("not a Variant");
        assertThat(System.getProperty("dl4jlora.evil")).isNull();
    }

    @ParameterizedTest
    @CsvSource({"NoSuchVariant", "java.lang.String", "java.io.File"})
    void whatIsNoVariantIsRefusedByName(String id) {
        assertThatThrownBy(() -> read(json(new DoRA()).replace("\"DoRA\"", "\"" + id + "\"")))
                .hasStackTraceContaining(id).hasStackTraceContaining("Variant");
    }
}
