package io.github.dl4jlora.integration;

import io.github.dl4jlora.Models;
import io.github.dl4jlora.Models.Kind;
import io.github.dl4jlora.Networks;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.File;
import java.io.IOException;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** DL4J's own saver keeps an adapted network: values, updater state, counters. */
class ModelSerializerTest {

    @TempDir
    File folder;

    @ParameterizedTest
    @EnumSource
    void trainingResumedFromAFileEqualsTrainingThrough(Kind kind) throws IOException {
        Model base = kind.base();
        Model through = kind.adapt(base);
        Model interrupted = kind.adapt(base);
        List<Long> frozen = Models.frozen(through);
        Models.fitSteps(through, 0, 10);

        Models.fitSteps(interrupted, 0, 5);
        Model resumed = saveAndRestore(kind, interrupted, true);
        assertThat(Models.updaterState(resumed)).isEqualTo(Models.updaterState(interrupted));
        Models.fitSteps(resumed, 5, 10);

        assertThat(Models.params(resumed)).isEqualTo(Models.params(through));
        assertThat(Models.outputs(resumed)).isEqualTo(Models.outputs(through));
        assertThat(Models.updaterState(resumed)).isEqualTo(Models.updaterState(through));
        assertThat(iterations(resumed)).isEqualTo(iterations(through));
        assertThat(Models.frozen(resumed)).isEqualTo(frozen).isEqualTo(Models.frozen(through));
    }

    @ParameterizedTest
    @EnumSource
    void trainingResumedWithoutUpdaterStateGoesAnotherWay(Kind kind) throws IOException {
        Model through = kind.adapt(kind.base());
        Models.fitSteps(through, 0, 5);

        Model resumed = saveAndRestore(kind, through, false);

        assertThat(Models.outputs(resumed)).isEqualTo(Models.outputs(through));
        Models.fitSteps(resumed, 5, 10);
        Models.fitSteps(through, 5, 10);
        assertThat(Models.params(resumed)).isNotEqualTo(Models.params(through));
    }

    @ParameterizedTest
    @EnumSource(names = ".*_SHARED", mode = EnumSource.Mode.MATCH_ALL)
    void aRestoredNetworkTakesItsBaseAndRefusesAStrangers(Kind kind) throws IOException {
        Model base = kind.base();
        Model adapted = kind.adapt(base);
        Models.fitSteps(adapted, 0, 3);
        Model restored = saveAndRestore(kind, adapted, true);

        assertThatThrownBy(() -> Models.attach(restored, kind.stranger())).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("\"fc1\"").hasMessageContaining("different weights");
        Models.attach(restored, base);

        assertThat(Models.outputs(restored)).isEqualTo(Models.outputs(adapted));
    }

    @ParameterizedTest
    @EnumSource
    void anotherDataTypeSurvivesSavingToo(Kind kind) throws IOException {
        Model adapted = kind.adapt(kind.base());
        Models.fitSteps(adapted, 0, 3);
        List<Long> frozen = Models.frozen(adapted);

        Model converted = Models.converted(adapted, DataType.DOUBLE);
        Model restored = saveAndRestore(kind, converted, true);

        INDArray features = Networks.random(DataType.DOUBLE, 5, 4, Networks.IN);
        assertThat(restored.params().dataType()).isEqualTo(DataType.DOUBLE);
        assertThat(Models.values(Models.output(restored, features))).isEqualTo(Models.values(Models.output(converted, features)));
        assertThat(Models.values(Models.output(restored, features)))
                .containsExactly(Models.values(Models.output(adapted, features.castTo(DataType.FLOAT))), within(1e-5));
        Models.fit(restored, Networks.data(DataType.DOUBLE, 8, 4));
        assertThat(Models.frozen(restored)).isEqualTo(frozen);
        assertThat(Models.params(restored)).isNotEqualTo(Models.params(converted));
    }

    private Model saveAndRestore(Kind kind, Model model, boolean updater) throws IOException {
        File file = new File(folder, "model.zip");
        ModelSerializer.writeModel(model, file, updater);
        return kind.restore(file, updater);
    }

    private static int iterations(Model model) {
        return model instanceof ComputationGraph graph ? graph.getConfiguration().getIterationCount()
                : ((MultiLayerNetwork) model).getLayerWiseConfigurations().getIterationCount();
    }
}
