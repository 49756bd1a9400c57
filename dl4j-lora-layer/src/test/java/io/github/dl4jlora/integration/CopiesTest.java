package io.github.dl4jlora.integration;

import io.github.dl4jlora.Models.Kind;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.layer.LoRADenseLayer;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.learning.config.Nesterovs;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

/** Clones, configurations as text, Java serialization: each keeps the function and shares the frozen weights. */
class CopiesTest {

    /** A way of copying a network. */
    enum Way {
        CLONE {
            @Override
            Model copy(Model model) {
                return Models.copy(model);
            }
        },
        JSON {
            @Override
            Model copy(Model model) {
                if (model instanceof ComputationGraph graph) {
                    return withParams(ComputationGraphConfiguration.fromJson(graph.getConfiguration().toJson()), graph);
                }
                MultiLayerNetwork layers = (MultiLayerNetwork) model;
                return withParams(MultiLayerConfiguration.fromJson(layers.getLayerWiseConfigurations().toJson()), layers);
            }
        },
        YAML {
            @Override
            Model copy(Model model) {
                if (model instanceof ComputationGraph graph) {
                    return withParams(ComputationGraphConfiguration.fromYaml(graph.getConfiguration().toYaml()), graph);
                }
                MultiLayerNetwork layers = (MultiLayerNetwork) model;
                return withParams(MultiLayerConfiguration.fromYaml(layers.getLayerWiseConfigurations().toYaml()), layers);
            }
        },
        /** And built anew of its parts, since DL4J leaves a deserialized network of either type unfit for training. */
        JAVA {
            @Override
            Model copy(Model model) throws IOException, ClassNotFoundException {
                ByteArrayOutputStream bytes = new ByteArrayOutputStream();
                try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
                    out.writeObject(model);
                }
                try (ObjectInputStream in = new ObjectInputStream(new ByteArrayInputStream(bytes.toByteArray()))) {
                    Model read = (Model) in.readObject();
                    if (!(read instanceof ComputationGraph graph)) {
                        return Models.copy(read);
                    }
                    ComputationGraph copy = (ComputationGraph) withParams(graph.getConfiguration(), graph);
                    copy.getUpdater().getStateViewArray().assign(graph.getUpdater().getStateViewArray());
                    return copy;
                }
            }
        };

        abstract Model copy(Model model) throws Exception;

        private static Model withParams(ComputationGraphConfiguration conf, ComputationGraph from) {
            ComputationGraph copy = new ComputationGraph(conf);
            copy.init(from.params().dup(), false);
            return copy;
        }

        private static Model withParams(MultiLayerConfiguration conf, MultiLayerNetwork from) {
            MultiLayerNetwork copy = new MultiLayerNetwork(conf);
            copy.init(from.params().dup(), false);
            return copy;
        }
    }

    @ParameterizedTest
    @EnumSource
    void aCopyComputesTheSameAndThenTrainsByItself(Kind kind) throws Exception {
        for (Way way : Way.values()) {
            Model adapted = kind.adapt(kind.base());
            Models.fitSteps(adapted, 0, 2);
            List<Long> frozen = Models.frozen(adapted);
            double[] before = Models.params(adapted);

            Model copy = way.copy(adapted);

            assertThat(Models.outputs(copy)).as("%s", way).isEqualTo(Models.outputs(adapted));
            Models.fitSteps(copy, 2, 4);
            assertThat(Models.params(copy)).as("%s", way).isNotEqualTo(before);
            assertThat(Models.params(adapted)).as("%s", way).isEqualTo(before);
            Models.fitSteps(adapted, 2, 3);
            assertThat(Models.frozen(copy)).as("%s", way).isEqualTo(frozen).isEqualTo(Models.frozen(adapted));
        }
    }

    @ParameterizedTest
    @EnumSource
    void copiesWithUpdaterStateTrainOnAlike(Kind kind) throws Exception {
        for (Way way : List.of(Way.CLONE, Way.JAVA)) {
            // Not Adam, whose steps depend on the iteration count, which DL4J's clone forgets.
            Model adapted = Models.apply(kind.base(), kind.config().updater(new Nesterovs(0.05, 0.9)).build());
            Models.fitSteps(adapted, 0, 2);

            Model copy = way.copy(adapted);

            Models.fitSteps(copy, 2, 4);
            Models.fitSteps(adapted, 2, 4);
            assertThat(Models.params(copy)).as("%s", way).isEqualTo(Models.params(adapted));
        }
    }

    @ParameterizedTest
    @EnumSource
    void textKeepsEverySettingAndNoWeight(Kind kind) {
        Model adapted = Models.apply(kind.base(), kind.config().rank(3).alpha(0.1 + 0.2)
                .scaling(io.github.dl4jlora.conf.Scaling.ALPHA_OVER_SQRT_RANK)
                .loraInit(io.github.dl4jlora.conf.LoRAInit.GAUSSIAN).loraDropout(0.25)
                .engine(io.github.dl4jlora.conf.Engine.SAMEDIFF).l2(0.01)
                .baseLocation(java.net.URI.create("file:///nowhere/base.zip")).build());

        LoRADenseLayer before = first(adapted);
        for (LoRADenseLayer after : List.of(reread(adapted, false), reread(adapted, true))) {
            assertThat(after).isEqualTo(before);
            assertThat(after.getRank()).isEqualTo(3);
            assertThat(after.getAlpha()).isEqualTo(0.1 + 0.2);
            assertThat(after.factor()).isEqualTo(before.factor());
            assertThat(after.getLoraDropout()).isEqualTo(0.25);
            assertThat(after.getRegularization()).isEqualTo(before.getRegularization());
            assertThat(after.getIUpdater()).isEqualTo(before.getIUpdater());
            assertThat(after.getOrigin()).isEqualTo(before.getOrigin());
            assertThat(after.getFrozen() == null ? null : after.getFrozen().getBaseLocation())
                    .isEqualTo(before.getFrozen() == null ? null : before.getFrozen().getBaseLocation());
        }
        assertThat(Models.json(adapted)).hasSizeLessThan(40_000).doesNotContain("\"weights\"", "\"values\"");
    }

    private static LoRADenseLayer first(Model model) {
        return model instanceof ComputationGraph graph ? first(graph.getConfiguration())
                : (LoRADenseLayer) ((MultiLayerNetwork) model).getLayerWiseConfigurations().getConf(0).getLayer();
    }

    private static LoRADenseLayer first(ComputationGraphConfiguration conf) {
        return (LoRADenseLayer) ((LayerVertex) conf.getVertices().get("fc1")).getLayerConf().getLayer();
    }

    private static LoRADenseLayer reread(Model model, boolean yaml) {
        if (model instanceof ComputationGraph graph) {
            ComputationGraphConfiguration conf = graph.getConfiguration();
            return first(yaml ? ComputationGraphConfiguration.fromYaml(conf.toYaml())
                    : ComputationGraphConfiguration.fromJson(conf.toJson()));
        }
        MultiLayerConfiguration conf = ((MultiLayerNetwork) model).getLayerWiseConfigurations();
        MultiLayerConfiguration read = yaml ? MultiLayerConfiguration.fromYaml(conf.toYaml())
                : MultiLayerConfiguration.fromJson(conf.toJson());
        return (LoRADenseLayer) read.getConf(0).getLayer();
    }
}
