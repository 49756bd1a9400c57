package io.github.dl4jlora.integration;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LoRAConfig;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.Quantization;
import io.github.dl4jlora.SaveOption;
import io.github.dl4jlora.adapter.AdapterBank;
import io.github.dl4jlora.adapter.LoRAAdapter;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** A base that is used where it lies in its file. */
class MappedBaseTest {

    private static final INDArray X = Networks.random(DataType.FLOAT, 77, 5, Networks.IN);

    @TempDir
    private Path folder;
    private Path file;

    @BeforeEach
    void name() {
        file = folder.resolve("base.lora");
    }

    /** Kinds of network and schemes; null is none. */
    static Stream<Arguments> all() {
        return Stream.of(Models.Kind.GRAPH_SHARED, Models.Kind.LAYERS_SHARED).flatMap(kind -> Stream.of(
                Arguments.of(kind, null), Arguments.of(kind, Quantization.INT8), Arguments.of(kind, Quantization.NF4)));
    }

    private static Model frozen(Model base, Quantization scheme) {
        return base instanceof ComputationGraph graph ? LoRA.freeze(graph, scheme)
                : LoRA.freeze((MultiLayerNetwork) base, scheme);
    }

    private Model opened(Model base, Quantization scheme) throws IOException {
        LoRA.writeBase(base, file, scheme);
        return LoRA.openBase(file);
    }

    private static INDArray output(Model network) {
        return Models.output(network, X);
    }

    private static LoRAConfig.Builder config() {
        return LoRAConfig.builder().rank(2).alpha(2);
    }

    @ParameterizedTest
    @MethodSource("all")
    void computesWhatTheFrozenBaseDoes(Models.Kind kind, Quantization scheme) throws IOException {
        Model base = kind.base();
        Model opened = opened(base, scheme);

        assertThat(output(opened)).isEqualTo(output(frozen(base, scheme)));
        assertThat(opened).hasSameClassAs(frozen(base, scheme));
        assertThat(Models.topology(opened)).isEqualTo(Models.topology(frozen(base, scheme)));
        assertThatThrownBy(() -> Models.fit(opened, 1)).hasMessageContaining("frozen");
    }

    @ParameterizedTest
    @MethodSource("all")
    void isAdaptedAndTrainedAsTheFrozenBaseIs(Models.Kind kind, Quantization scheme) throws IOException {
        Model base = kind.base();
        Model tuned = Models.apply(opened(base, scheme), config().build());
        Model oracle = Models.apply(frozen(base, scheme), config().build());
        Models.fitSteps(tuned, 0, 3);
        Models.fitSteps(oracle, 0, 3);

        assertThat(tuned.params()).isEqualTo(oracle.params());
        assertThat(output(tuned)).isEqualTo(output(oracle));
        assertThat(output(Models.merge(tuned))).isEqualTo(output(Models.merge(oracle)));
        assertThat(Models.unload(tuned).params()).isEqualTo(Models.unload(oracle).params());
    }
}
