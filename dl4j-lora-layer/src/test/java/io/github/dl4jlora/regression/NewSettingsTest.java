package io.github.dl4jlora.regression;

import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.content.Kind;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.CenterLossOutputLayer;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.PReLULayer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.LastTimeStep;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

/** keepCounts(true) goes on counting where the base stopped; allTargets() adapts whatever can be adapted, but no output. */
class NewSettingsTest {

    @ParameterizedTest
    @EnumSource(Models.Kind.class)
    void countsOfTheBaseAreKeptIfAskedFor(Models.Kind kind) {
        Model base = kind.base();
        Counts.set(base, 10_000, 40);

        Model tuned = Models.apply(base, kind.config().keepCounts(true).build());

        assertThat(Counts.iterations(tuned)).isEqualTo(10_000);
        assertThat(Counts.epochs(tuned)).isEqualTo(40);
        Models.fitSteps(tuned, 0, 2);
        assertThat(Counts.iterations(tuned)).isEqualTo(10_002);
    }

    @ParameterizedTest
    @EnumSource(Models.Kind.class)
    void countsAreNotKeptUnlessAskedFor(Models.Kind kind) {
        Model base = kind.base();
        Counts.set(base, 10_000, 40);

        assertThat(Counts.iterations(Models.apply(base, kind.config().keepCounts(false).build()))).isZero();
        assertThat(kind.config().build().keepCounts()).isFalse();
        assertThat(kind.config().keepCounts(true).build().keepCounts()).isTrue();
    }

    private static LoRAConfig.Builder all() {
        return LoRAConfig.builder().rank(2).allTargets().updater(new Adam(0.01));
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void everyLayerThatCanBeAdaptedIsAndTheRestIsFrozen(boolean graph) {
        Model base = Stacks.of(graph, DataType.FLOAT, InputType.convolutional(6, 6, 2),
                new ConvolutionLayer.Builder(2, 2).nOut(3).name("conv").build(),
                new BatchNormalization.Builder().name("norm").build(),
                new DenseLayer.Builder().nOut(4).name("fc").build(), prelu(), Stacks.head());
        double[] before = Models.params(base);

        Model tuned = Models.apply(base, all().build());

        assertThat(LoRAAdapter.of(tuned).layers()).containsExactlyInAnyOrder("conv", "fc");
        assertThat(LoRAAdapter.of(tuned).trainedLayers()).isEmpty();
        DataSet data = new DataSet(Networks.random(DataType.FLOAT, 1, 3, 2, 6, 6), Networks.random(DataType.FLOAT, 2, 3, 2));
        Models.fit(tuned, data);
        assertThat(Models.params(base)).containsExactly(before);
        assertThat(Models.params(Models.unload(tuned))).containsExactly(before);
    }

    private static Layer prelu() {
        return new PReLULayer.Builder().inputShape(4).nIn(4).nOut(4).name("prelu").build();
    }

    @Test
    void recurrentLayersInWrappersAreAdaptedWithEveryMatrix() {
        Layer last = new LastTimeStep(new LSTM.Builder().nOut(3).build());
        last.setLayerName("last");
        Layer both = new Bidirectional(new LSTM.Builder().nOut(4).build());
        both.setLayerName("both");
        Model base = Stacks.of(false, DataType.FLOAT, InputType.recurrent(3, 4), both, last, Stacks.head());

        assertThat(LoRAAdapter.of(Models.apply(base, all().build())).layers())
                .containsExactlyInAnyOrder("both.fW", "both.fRW", "both.bW", "both.bRW", "last.W", "last.RW");
    }

    @Test
    void verticesAreAdaptedToo() {
        Model base = Networks.of(Stacks.common(DataType.FLOAT).graphBuilder().addInputs("in")
                .addVertex("attention", new AttentionVertex.Builder().nInKeys(3).nInQueries(3).nInValues(3).nOut(4).nHeads(2)
                        .projectInput(true).build(), "in", "in", "in")
                .addLayer("fc", new DenseLayer.Builder().nOut(4).build(), "attention")
                .addLayer("out", Stacks.sequenceHead(), "fc").setOutputs("out").setInputTypes(InputType.recurrent(3, 5)).build());

        Set<String> layers = LoRAAdapter.of(Models.apply(base, all().build())).layers().stream()
                .map(name -> name.split(Pattern.quote("."))[0]).collect(Collectors.toSet());

        assertThat(layers).containsExactlyInAnyOrder("attention", "fc");
    }

    /** As PEFT's all-linear leaves the head out: it is usually new, and trained in full. */
    @Test
    void outputLayersAreAdaptedOnlyWhenNamedBeside() {
        Model base = Networks.trainedLayers();

        assertThat(LoRAAdapter.of(Models.apply(base, all().build())).layers()).containsExactlyInAnyOrder("fc1", "fc2");
        assertThat(LoRAAdapter.of(Models.apply(base, all().targets("out").build())).layers())
                .containsExactlyInAnyOrder("fc1", "fc2", "out");
    }

    @Test
    void everyKindOfOutputLayerIsLeftOut() {
        Model centers = Stacks.of(false, DataType.FLOAT, InputType.feedForward(3),
                new DenseLayer.Builder().nOut(4).name("fc").build(),
                new CenterLossOutputLayer.Builder(LossFunction.MCXENT).nOut(2).activation(Activation.SOFTMAX).name("out")
                        .build());

        assertThat(LoRAAdapter.of(Models.apply(centers, all().build())).layers()).containsExactly("fc");
    }

    @Test
    void excludedAndTrainedLayersAreLeftOut() {
        Model base = Networks.trainedLayers();

        LoRAAdapter adapter = LoRAAdapter.of(Models.apply(base, all().exclude("fc1").trainable("out").build()));

        assertThat(adapter.layers()).containsExactly("fc2");
        assertThat(adapter.trainedLayers()).containsExactly("out");
    }

    @Test
    void networkInWhichNothingCanBeAdaptedIsRefused() {
        Model base = Stacks.of(false, DataType.FLOAT, InputType.feedForward(3),
                new BatchNormalization.Builder().name("norm").build(),
                new OutputLayer.Builder(LossFunction.MSE).nOut(2).activation(Activation.IDENTITY).name("out").build());

        assertThatIllegalArgumentException().isThrownBy(() -> Models.apply(base, all().updater(new Sgd(0.1)).build()))
                .withMessageContainingAll("allTargets()", "out");
    }
}
