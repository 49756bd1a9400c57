package io.github.dl4jlora.regression;

import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.variant.DoRA;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.LastTimeStep;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;

import static org.assertj.core.api.Assertions.assertThat;

/** After attach an adapted network stands on the base it was given, with all its layers, whatever it computed before. */
class AttachAfterUseTest {

    /** A network, and what of it is adapted; the rest is frozen. */
    enum Case {
        DENSE("x", InputType.feedForward(6), 6) {
            @Override
            Layer x() {
                return new DenseLayer.Builder().nOut(5).name("x").build();
            }
        },
        OUTPUT("out", InputType.feedForward(6), 6) {
            @Override
            Layer x() {
                return new DenseLayer.Builder().nOut(5).name("x").build();
            }
        },
        DORA("x", InputType.feedForward(6), 6) {
            @Override
            Layer x() {
                return new DenseLayer.Builder().nOut(5).name("x").build();
            }

            @Override
            LoRAConfig.Builder config() {
                return super.config().variant(new DoRA());
            }
        },
        PISSA("x", InputType.feedForward(6), 6) {
            @Override
            Layer x() {
                return new DenseLayer.Builder().nOut(5).name("x").build();
            }

            @Override
            LoRAConfig.Builder config() {
                return super.config().loraInit(LoRAInit.PISSA);
            }
        },
        KERNEL("x", InputType.convolutional(4, 4, 3), 3, 4, 4) {
            @Override
            Layer x() {
                return new ConvolutionLayer.Builder(2, 2).nOut(4).name("x").build();
            }
        },
        EMBEDDING("x", InputType.feedForward(6), 1) {
            @Override
            Layer x() {
                return new EmbeddingLayer.Builder().nIn(6).nOut(4).name("x").build();
            }

            @Override
            INDArray features() {
                return Nd4j.createFromArray(new float[][]{{1}, {3}});
            }
        },
        DORA_KERNEL("x", InputType.convolutional(4, 4, 3), 3, 4, 4) {
            @Override
            Layer x() {
                return new ConvolutionLayer.Builder(2, 2).nOut(4).name("x").build();
            }

            @Override
            LoRAConfig.Builder config() {
                return super.config().variant(new DoRA());
            }
        },
        EFFECTIVE_WEIGHTS("x", InputType.recurrent(3, 5), 3, 5) {
            @Override
            Layer x() {
                return new LastTimeStep(new LSTM.Builder().nOut(4).build());
            }
        },
        BIDIRECTIONAL("x", InputType.recurrent(3, 5), 3, 5) {
            @Override
            Layer x() {
                return new LastTimeStep(new Bidirectional(new LSTM.Builder().nOut(4).build()));
            }
        },
        FROZEN_RECURRENT("top", InputType.recurrent(3, 5), 3, 5) {
            @Override
            Layer x() {
                return new LastTimeStep(new LSTM.Builder().nOut(4).build());
            }
        },
        FROZEN_NORMALISATION("top", InputType.convolutional(4, 4, 3), 3, 4, 4) {
            @Override
            Layer x() {
                return new BatchNormalization.Builder().name("x").build();
            }
        };

        private final String target;
        private final InputType input;
        private final long[] example;

        Case(String target, InputType input, long... example) {
            this.target = target;
            this.input = input;
            this.example = example;
        }

        abstract Layer x();

        INDArray features() {
            long[] shape = new long[example.length + 1];
            shape[0] = 2;
            System.arraycopy(example, 0, shape, 1, example.length);
            return Networks.random(DataType.FLOAT, 1, shape);
        }

        LoRAConfig.Builder config() {
            return LoRAConfig.builder().rank(2).targets(target).updater(new Sgd(0.1));
        }

        Model base() {
            Layer x = x();
            x.setLayerName("x");
            return Stacks.of(true, DataType.FLOAT, input, x, new DenseLayer.Builder().nOut(4).name("top").build(), Stacks.head());
        }
    }

    @ParameterizedTest
    @EnumSource(Case.class)
    void pristineBaseUndoesWhatWasDoneToTheFirst(Case network) {
        Model base = network.base();
        Model pristine = Models.copy(base);
        Model tuned = trained(base, network.config().build(), network.features());
        INDArray expected = Models.output(tuned, network.features()).dup();

        base.params().muli(1.5);
        Models.attach(tuned, pristine);

        assertThat(Models.output(tuned, network.features())).isEqualTo(expected);
        assertMergeComputesTheSame(tuned, network.features());
    }

    @ParameterizedTest
    @EnumSource(Case.class)
    void nothingIsReadFromTheFirstBaseOnceAnotherIsAttached(Case network) {
        Model base = network.base();
        Model pristine = Models.copy(base);
        Model tuned = trained(base, network.config().build(), network.features());
        INDArray expected = Models.output(tuned, network.features()).dup();

        Models.attach(tuned, pristine);
        base.params().assign(Float.NaN);

        assertThat(Models.output(tuned, network.features())).isEqualTo(expected);
        Models.fit(tuned, data(tuned, network.features()));
        assertMergeComputesTheSame(tuned, network.features());
    }

    @Test
    void vertexStandsOnTheAttachedBaseToo() {
        Model base = Networks.of(Stacks.common(DataType.FLOAT).graphBuilder().addInputs("in")
                .addVertex("x", new AttentionVertex.Builder().nInKeys(3).nInQueries(3).nInValues(3).nOut(4).nHeads(2)
                        .projectInput(true).build(), "in", "in", "in")
                .addLayer("top", new DenseLayer.Builder().nOut(4).build(), "x").addLayer("out", Stacks.sequenceHead(), "top")
                .setOutputs("out").setInputTypes(InputType.recurrent(3, 5)).build());
        INDArray features = Networks.random(DataType.FLOAT, 1, 2, 3, 5);
        for (String[] targets : new String[][]{{"x", "top"}, {"top"}}) {
            Model first = Models.copy(base);
            Model tuned = trained(first, LoRAConfig.builder().rank(2).targets(targets).updater(new Sgd(0.1)).build(), features);
            INDArray expected = Models.output(tuned, features).dup();

            first.params().muli(1.5);
            Models.attach(tuned, base);

            assertThat(Models.output(tuned, features)).isEqualTo(expected);
        }
    }

    private static Model trained(Model base, LoRAConfig config, INDArray features) {
        Model tuned = Models.apply(base, config);
        for (int i = 0; i < 3; i++) {
            Models.fit(tuned, data(tuned, features));
        }
        return tuned;
    }

    private static DataSet data(Model network, INDArray features) {
        return new DataSet(features, Networks.random(DataType.FLOAT, 2, Models.output(network, features).shape()));
    }

    private static void assertMergeComputesTheSame(Model tuned, INDArray features) {
        INDArray merged = Models.output(Models.merge(tuned), features);
        assertThat(Networks.difference(merged, Models.output(tuned, features))).isLessThan(1e-5);
    }
}
