package io.github.dl4jlora.internal.cost;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LoRAConfig;
import io.github.dl4jlora.LoRAPlan;
import io.github.dl4jlora.Models;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.ConvolutionMode;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.Convolution1D;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.GravesLSTM;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.SelfAttentionLayer;
import org.deeplearning4j.nn.conf.layers.SubsamplingLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.SimpleRnn;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

class WorkspacesTest {

    private static final int BATCH = 16;

    enum Chain {
        RELU(InputType.feedForward(64), dense(200, Activation.RELU), dense(100, Activation.RELU)),
        TANH(InputType.feedForward(64), dense(200, Activation.TANH), dense(100, Activation.TANH)),
        IDENTITY(InputType.feedForward(64), dense(200, Activation.IDENTITY), dense(100, Activation.IDENTITY)),
        GELU(InputType.feedForward(64), dense(200, Activation.GELU), dense(100, Activation.SWISH)),
        NORM(InputType.feedForward(64), new DenseLayer.Builder().nOut(200).hasLayerNorm(true).activation(Activation.RELU).build(),
                dense(100, Activation.RELU)),
        DROPOUT(InputType.feedForward(64), dense(200, Activation.RELU),
                new DenseLayer.Builder().nOut(200).dropOut(0.5).activation(Activation.RELU).build()),
        BATCH_NORM(InputType.feedForward(64), dense(200, Activation.RELU), new BatchNormalization(), dense(200, Activation.RELU)),
        IMAGE(InputType.convolutional(16, 16, 3), conv(24), pool(), conv(32)),
        IMAGE_NORM(InputType.convolutional(16, 16, 3), conv(24), new BatchNormalization(), pool(), conv(32)),
        IMAGE_DENSE(InputType.convolutional(16, 16, 3), conv(24), pool(), dense(30, Activation.RELU)),
        STEPS(InputType.recurrent(20, 30), new Convolution1D.Builder().kernelSize(5).nOut(32).build(),
                new Convolution1D.Builder().kernelSize(3).nOut(32).build(), new GlobalPoolingLayer()),
        VOLUME(InputType.convolutional3D(Convolution3D.DataFormat.NCDHW, 8, 8, 8, 4), new Convolution3D.Builder(3, 3, 3).nOut(12).build(), new GlobalPoolingLayer()),
        LSTM_(InputType.recurrent(20, 30), new LSTM.Builder().nOut(32).build(), new LSTM.Builder().nOut(40).build()),
        GRAVES(InputType.recurrent(20, 30), new GravesLSTM.Builder().nOut(32).build()),
        RNN(InputType.recurrent(20, 30), new SimpleRnn.Builder().nOut(32).build(), new SimpleRnn.Builder().nOut(40).build()),
        BOTH(InputType.recurrent(20, 30), new Bidirectional(new LSTM.Builder().nOut(32).build())),
        STEP_DENSE(InputType.recurrent(20, 30), dense(64, Activation.RELU), new LSTM.Builder().nOut(40).build()),
        ATTENTION(InputType.recurrent(20, 30), new SelfAttentionLayer.Builder().nOut(32).nHeads(2).projectInput(true).build()),
        WORDS(InputType.recurrent(500, 30), new EmbeddingSequenceLayer.Builder().nIn(500).nOut(64).build(),
                new LSTM.Builder().nOut(32).build());

        final InputType input;
        final List<Layer> layers;

        Chain(InputType input, Layer... layers) {
            this.input = input;
            this.layers = List.of(layers);
        }

        MultiLayerNetwork network() {
            NeuralNetConfiguration.ListBuilder list = new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(1e-4))
                    .convolutionMode(ConvolutionMode.Same).activation(Activation.TANH).list();
            layers.forEach(layer -> list.layer(layer.clone()));
            boolean sequence = input instanceof InputType.InputTypeRecurrent && !(layers.get(layers.size() - 1) instanceof GlobalPoolingLayer);
            list.layer(sequence ? new RnnOutputLayer.Builder(LossFunction.MCXENT).nOut(5).activation(Activation.SOFTMAX).build()
                    : new OutputLayer.Builder(LossFunction.MCXENT).nOut(5).activation(Activation.SOFTMAX).build());
            MultiLayerNetwork network = new MultiLayerNetwork(list.setInputType(input).build());
            network.init();
            return network;
        }

        DataSet data(Model network) {
            long[] shape = input.getShape(true);
            shape[0] = BATCH;
            INDArray features = this == WORDS ? Nd4j.ones(DataType.FLOAT, BATCH, 30) : Nd4j.rand(DataType.FLOAT, shape);
            INDArray output = Models.output(network, features);
            return new DataSet(features, Nd4j.ones(DataType.FLOAT, output.shape()).divi(5));
        }
    }

    private static DenseLayer dense(int nOut, Activation activation) {
        return new DenseLayer.Builder().nOut(nOut).activation(activation).build();
    }

    private static ConvolutionLayer conv(int nOut) {
        return new ConvolutionLayer.Builder(3, 3).nOut(nOut).activation(Activation.RELU).build();
    }

    private static Layer pool() {
        return new SubsamplingLayer.Builder(SubsamplingLayer.PoolingType.MAX).kernelSize(2, 2).stride(2, 2).build();
    }

    @ParameterizedTest
    @EnumSource(Chain.class)
    void probe(Chain chain) throws Exception {
        MultiLayerNetwork base = chain.network();
        DataSet data = chain.data(base);
        LoRAConfig config = LoRAConfig.builder().rank(4).allTargets().build();
        LoRAPlan plan = LoRA.plan(base, config, BATCH, chain == Chain.WORDS ? InputType.recurrent(500, 30) : chain.input);
        print(chain + " LORA", plan.adapted(), measured(LoRA.apply(base, config), data));
        print(chain + " FULL", plan.full(), measured(base, data));
    }

    private static void print(String what, LoRAPlan.Memory memory, long[] real) {
        System.out.printf("WS %-18s act %,10d / %,10d = %.2f   rest %,10d / %,10d = %.2f%n", what, memory.activations(), real[0],
                (double) memory.activations() / real[0], memory.workspaces(), real[1], (double) memory.workspaces() / real[1]);
    }

    private static long[] measured(Model network, DataSet data) throws Exception {
        long[] sizes = new long[2];
        StringBuilder all = new StringBuilder();
        Thread thread = new Thread(() -> {
            for (int i = 0; i < 4; i++) {
                Models.fit(network, data);
            }
            Nd4j.getWorkspaceManager().getAllWorkspacesForCurrentThread().forEach(workspace -> {
                sizes[workspace.getId().equals("WS_ALL_LAYERS_ACT") ? 0 : 1] += workspace.getCurrentSize();
                all.append(workspace.getId().replaceAll("WS_|LAYER_|_MEM", "")).append(' ').append(workspace.getCurrentSize()).append("; ");
            });
            Nd4j.getWorkspaceManager().destroyAllWorkspacesForCurrentThread();
        });
        thread.start();
        thread.join();
        System.out.println("   " + all);
        return sizes;
    }
}
