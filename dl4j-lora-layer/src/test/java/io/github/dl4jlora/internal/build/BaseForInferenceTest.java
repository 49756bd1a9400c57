package io.github.dl4jlora.internal.build;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.exception.FrozenWeightsMissingException;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** A base is for inference once networks stand on it; that it moved is found out and said. */
class BaseForInferenceTest {

    private static final DataSet DATA = Networks.data(DataType.FLOAT, 8, 1);

    private final ComputationGraph base = Networks.trainedGraph();
    private final ComputationGraph adapted = LoRA.apply(base, LoRAConfig.builder().rank(2).build());

    @TempDir
    private Path directory;

    /** What nobody may do to a base. */
    enum Mistake {
        FIT("have changed", base -> base.fit(DATA)),
        SET_PARAMS("have changed", base -> base.setParams(base.params().mul(2))),
        SET_PARAM("have changed", base -> base.setParam("fc1_W", base.getParam("fc1_W").add(1))),
        CLOSE("closed", ComputationGraph::close);

        private final String message;
        private final Consumer<ComputationGraph> mistake;

        Mistake(String message, Consumer<ComputationGraph> mistake) {
            this.message = message;
            this.mistake = mistake;
        }
    }

    @ParameterizedTest
    @EnumSource(Mistake.class)
    void mergeUnloadSaveAndExportRefuseABaseThatMoved(Mistake made) {
        made.mistake.accept(base);

        assertRefused(made, () -> LoRA.merge(adapted));
        assertRefused(made, () -> LoRA.unload(adapted));
        assertRefused(made, () -> LoRA.save(adapted, directory.resolve("whole.zip"), true));
        assertRefused(made, () -> LoRAAdapter.of(adapted));
        assertThat(directory).isEmptyDirectory();
    }

    private static void assertRefused(Mistake made, ThrowingCallable action) {
        assertThatThrownBy(action).isInstanceOf(IllegalStateException.class)
                .hasMessageContainingAll("Layer \"fc1\"", made.message, "copyBase(true)");
    }

    @ParameterizedTest
    @EnumSource(Mistake.class)
    void attachRefusesABaseThatMoved(Mistake made) throws IOException {
        ComputationGraph restored = restored();
        double[] before = restored.params().toDoubleVector();

        made.mistake.accept(base);

        assertThatThrownBy(() -> LoRA.attach(restored, base)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("\"fc1\"", made == Mistake.CLOSE ? "closed" : "different weights");
        assertThat(restored.params().toDoubleVector()).containsExactly(before);
    }

    @Test
    void aFrozenLayerOfAClosedBaseSaysWhichItIsAndWhatToDo() {
        ComputationGraph adapted = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("fc2").build());
        adapted.outputSingle(DATA.getFeatures());

        base.close();

        List<ThrowingCallable> uses = List.of(() -> adapted.outputSingle(DATA.getFeatures()), () -> adapted.fit(DATA),
                adapted::clone);
        for (ThrowingCallable use : uses) {
            assertThatThrownBy(use).isInstanceOf(IllegalStateException.class)
                    .hasMessageContainingAll("\"fc1\"", "closed", "copyBase(true)");
        }
    }

    @ParameterizedTest
    @EnumSource(Mistake.class)
    void copiedBaseMayDoAsItLikes(Mistake made) {
        ComputationGraph detached = LoRA.apply(base, LoRAConfig.builder().rank(2).copyBase(true).build());
        INDArray expected = base.outputSingle(DATA.getFeatures()).dup();

        made.mistake.accept(base);

        assertThat(detached.outputSingle(DATA.getFeatures())).isEqualTo(expected);
        assertThat(LoRA.merge(detached).outputSingle(DATA.getFeatures())).isEqualTo(expected);
        assertThat(LoRAAdapter.of(detached)).isNotNull();
    }

    @Test
    void checkpointRestoredAfterTheBaseWasTrainedDoesNotComputeWithTheMovedWeights() throws IOException {
        // Weights that no other test has: equal ones that are still in memory would rightly be used.
        base.fit(Networks.data(DataType.FLOAT, 8, 4711));
        Path file = directory.resolve("checkpoint.zip");
        ModelSerializer.writeModel(LoRA.apply(base, LoRAConfig.builder().rank(2).build()), file.toFile(), true);
        base.fit(DATA);

        ComputationGraph restored = ModelSerializer.restoreComputationGraph(file.toFile(), true);

        assertThatThrownBy(() -> restored.outputSingle(DATA.getFeatures())).isInstanceOf(FrozenWeightsMissingException.class)
                .hasMessageContainingAll("Layer \"fc1\"", "LoRA.attach", "LoRA.save");
    }

    @Test
    void checkpointWithoutItsBaseTakesItWhenItIsAttached() throws IOException {
        INDArray expected = adapted.outputSingle(DATA.getFeatures()).dup();
        Path file = directory.resolve("checkpoint.zip");
        ModelSerializer.writeModel(adapted, file.toFile(), true);
        Path baseFile = directory.resolve("base.zip");
        ModelSerializer.writeModel(base, baseFile.toFile(), true);
        base.fit(DATA);
        ComputationGraph restored = ModelSerializer.restoreComputationGraph(file.toFile(), true);
        ComputationGraph asItWas = ModelSerializer.restoreComputationGraph(baseFile.toFile(), false);

        LoRA.attach(restored, asItWas);

        Networks.assertSame("attached", restored.outputSingle(DATA.getFeatures()), expected);
        restored.fit(DATA);
        assertThat(Networks.difference(asItWas.params(), LoRA.unload(restored).params())).isZero();
    }

    static Stream<ComputationGraph> strangers() {
        ComputationGraph trainedFurther = Networks.trainedGraph();
        trainedFurther.fit(DATA);
        return Stream.of(trainedFurther, Networks.trainedGraph(DataType.DOUBLE));
    }

    @ParameterizedTest
    @MethodSource("strangers")
    void strangersAreNotAttached(ComputationGraph stranger) {
        assertThatThrownBy(() -> LoRA.attach(adapted, stranger)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("Layer \"fc1\"", "Attach the network that was adapted");
    }

    @Test
    void stockNetworkHasNothingToAttachTo() {
        assertThatThrownBy(() -> LoRA.attach(base, Networks.trainedGraph())).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("refers to no base");
    }

    @Test
    void missingLayerIsNamedWithThoseThereAre() {
        ComputationGraph other = new ComputationGraph(ComputationGraphConfiguration.fromJson(
                base.getConfiguration().toJson().replace("\"fc2\"", "\"hidden\"")));
        other.init(base.params().dup(), false);

        assertThatThrownBy(() -> LoRA.attach(adapted, other)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("no layer \"fc2\"", "[fc1, hidden, out]");
    }

    private ComputationGraph restored() throws IOException {
        Path file = directory.resolve("checkpoint.zip");
        ModelSerializer.writeModel(adapted, file.toFile(), true);
        ComputationGraph restored = ModelSerializer.restoreComputationGraph(file.toFile(), true);
        Files.delete(file);
        return restored;
    }
}
