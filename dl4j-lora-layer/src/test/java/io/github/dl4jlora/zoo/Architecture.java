package io.github.dl4jlora.zoo;

import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LayerType;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.transferlearning.FineTuneConfiguration;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.deeplearning4j.nn.weights.WeightInitXavier;
import org.deeplearning4j.zoo.ZooModel;
import org.deeplearning4j.zoo.model.AlexNet;
import org.deeplearning4j.zoo.model.Darknet19;
import org.deeplearning4j.zoo.model.FaceNetNN4Small2;
import org.deeplearning4j.zoo.model.InceptionResNetV1;
import org.deeplearning4j.zoo.model.LeNet;
import org.deeplearning4j.zoo.model.NASNet;
import org.deeplearning4j.zoo.model.ResNet50;
import org.deeplearning4j.zoo.model.SimpleCNN;
import org.deeplearning4j.zoo.model.SqueezeNet;
import org.deeplearning4j.zoo.model.TextGenerationLSTM;
import org.deeplearning4j.zoo.model.TinyYOLO;
import org.deeplearning4j.zoo.model.UNet;
import org.deeplearning4j.zoo.model.VGG16;
import org.deeplearning4j.zoo.model.VGG19;
import org.deeplearning4j.zoo.model.Xception;
import org.deeplearning4j.zoo.model.YOLO2;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.Arrays;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** The networks of DL4J's model zoo, small inputs each, and a batch of two for it. */
enum Architecture {

    ALEX_NET(Output.CLASSES, 3, 64, 64) {
        @Override
        ZooModel<?> model() {
            return AlexNet.builder().inputShape(shape).numClasses(CLASSES).build();
        }
    },
    DARKNET_19(Output.CLASSES, 3, 64, 64) {
        @Override
        ZooModel<?> model() {
            return Darknet19.builder().inputShape(shape).numClasses(CLASSES).build();
        }
    },
    FACE_NET(Output.CLASSES, 3, 96, 96) {
        @Override
        ZooModel<?> model() {
            return FaceNetNN4Small2.builder().inputShape(shape).numClasses(CLASSES).build();
        }
    },
    INCEPTION_RES_NET(Output.CLASSES, 3, 160, 160) {
        @Override
        ZooModel<?> model() {
            return InceptionResNetV1.builder().inputShape(shape).numClasses(CLASSES).build();
        }

        /** Its own weights, N(0, 0.25), make sums of a million, of which tanh would see nothing but the rounding. */
        @Override
        Model base() {
            Model network = super.base();
            network.paramTable().forEach((name, value) -> value.muli(name.endsWith("_W") ? 0.1 : 1));
            return network;
        }
    },
    LE_NET(Output.CLASSES, 1, 28, 28) {
        @Override
        ZooModel<?> model() {
            return LeNet.builder().inputShape(shape).numClasses(CLASSES).build();
        }
    },
    NAS_NET(Output.CLASSES, 3, 32, 32) {
        @Override
        ZooModel<?> model() {
            return NASNet.builder().inputShape(shape).numClasses(CLASSES).build();
        }

        /** The zoo's own cannot be built in this release, at any size: see ZooTest. */
        @Override
        Model base() {
            return NasCells.network(shape, CLASSES);
        }
    },
    RES_NET_50(Output.CLASSES, 3, 96, 96) {
        @Override
        ZooModel<?> model() {
            // Its own initialisation overflows in a network whose batch normalisation has not been trained.
            return ResNet50.builder().weightInit(new WeightInitXavier()).inputShape(shape).numClasses(CLASSES).build();
        }
    },
    SIMPLE_CNN(Output.CLASSES, 3, 48, 48) {
        @Override
        ZooModel<?> model() {
            return SimpleCNN.builder().inputShape(shape).numClasses(CLASSES).build();
        }

        /** It ends in an activation; only a network that ends in a loss can be trained. */
        @Override
        Model base() {
            return new TransferLearning.Builder((MultiLayerNetwork) super.base())
                    .fineTuneConfiguration(new FineTuneConfiguration.Builder().seed(1).build())
                    .addLayer(new LossLayer.Builder(LossFunction.MCXENT).activation(Activation.IDENTITY).build()).build();
        }
    },
    SQUEEZE_NET(Output.CLASSES, 3, 64, 64) {
        @Override
        ZooModel<?> model() {
            return SqueezeNet.builder().inputShape(shape).numClasses(CLASSES).build();
        }
    },
    TEXT_GENERATION(Output.SEQUENCE, 47, 12) {
        @Override
        ZooModel<?> model() {
            return TextGenerationLSTM.builder().totalUniqueCharacters(shape[0])
                    .inputShape(new int[] {shape[1], shape[0]}).build();
        }
    },
    TINY_YOLO(Output.BOXES, 3, 64, 64) {
        @Override
        ZooModel<?> model() {
            return TinyYOLO.builder().inputShape(shape).numClasses(CLASSES).build();
        }
    },
    U_NET(Output.PIXELS, 3, 32, 32) {
        @Override
        ZooModel<?> model() {
            return UNet.builder().inputShape(shape).build();
        }
    },
    VGG_16(Output.CLASSES, 3, 32, 32) {
        @Override
        ZooModel<?> model() {
            return VGG16.builder().inputShape(shape).numClasses(CLASSES).build();
        }
    },
    VGG_19(Output.CLASSES, 3, 32, 32) {
        @Override
        ZooModel<?> model() {
            return VGG19.builder().inputShape(shape).numClasses(CLASSES).build();
        }
    },
    XCEPTION(Output.CLASSES, 3, 71, 71) {
        @Override
        ZooModel<?> model() {
            return Xception.builder().inputShape(shape).numClasses(CLASSES).build();
        }
    },
    YOLO_2(Output.BOXES, 3, 64, 64) {
        @Override
        ZooModel<?> model() {
            return YOLO2.builder().inputShape(shape).numClasses(CLASSES).build();
        }
    };

    private static final int CLASSES = 5;
    private static final int BATCH = 2;
    /** Parameters. */
    private static final long LARGE = 2_000_000;
    private static final Pattern CHANNELS = Pattern.compile("(\"(?:nin|nout|numChannels)\" : )(\\d+)");

    /** What a network says about an input. */
    private enum Output {
        CLASSES, SEQUENCE, PIXELS, BOXES
    }

    private final Output output;
    /** Channels, height, width; for sequences, characters and steps. */
    final int[] shape;

    Architecture(Output output, int... shape) {
        this.output = output;
        this.shape = shape;
    }

    abstract ZooModel<?> model();

    Model base() {
        return model().init();
    }

    /**
     * The same layers with a quarter of the channels, for what depends on the configuration alone: values of all widths take
     * minutes to be written and read. Inputs and outputs stay as they are, since their sizes are no multiples of four; small
     * networks stay whole.
     */
    Model narrow() {
        Model whole = base();
        if (whole.numParams() < LARGE) {
            return whole;
        }
        String json = CHANNELS.matcher(Models.json(whole)).replaceAll(size -> {
            int channels = Integer.parseInt(size.group(2));
            return size.group(1) + (channels % 4 == 0 ? channels / 4 : channels);
        });
        return whole instanceof ComputationGraph ? Networks.of(ComputationGraphConfiguration.fromJson(json))
                : Networks.of(MultiLayerConfiguration.fromJson(json));
    }

    /** Default targets where there are dense layers, all convolutions where not. */
    LoRAConfig.Builder target(LoRAConfig.Builder config) {
        return switch (targets()) {
            case "dense" -> config;
            case "LSTMs" -> config.targets(LayerType.RECURRENT);
            default -> config.targets(LayerType.CONVOLUTION);
        };
    }

    /** In the guide's words. */
    String targets() {
        return switch (this) {
            case ALEX_NET, FACE_NET, INCEPTION_RES_NET, LE_NET, VGG_16, VGG_19 -> "dense";
            case TEXT_GENERATION -> "LSTMs";
            default -> "convolutions";
        };
    }

    /** As the guide writes it. */
    String shape() {
        return Arrays.stream(shape).mapToObj(String::valueOf).collect(Collectors.joining(" × "));
    }

    /** Two inputs, and labels of the form that the network's loss asks for. */
    DataSet batch() {
        long[] inputs = new long[shape.length + 1];
        inputs[0] = BATCH;
        for (int i = 0; i < shape.length; i++) {
            inputs[i + 1] = shape[i];
        }
        INDArray x = Networks.random(DataType.FLOAT, 1, inputs);
        return new DataSet(x, switch (output) {
            case CLASSES -> Nd4j.eye(CLASSES).castTo(DataType.FLOAT).getRows(3, 1);
            case SEQUENCE -> characters(inputs);
            case PIXELS -> Networks.random(DataType.FLOAT, 2, BATCH, 1, shape[1], shape[2]).gt(0.5).castTo(DataType.FLOAT);
            case BOXES -> boxes();
        });
    }

    private static INDArray characters(long[] shape) {
        INDArray labels = Nd4j.zeros(DataType.FLOAT, shape);
        for (int example = 0; example < BATCH; example++) {
            for (int step = 0; step < shape[2]; step++) {
                labels.putScalar(new long[] {example, (example + step * 5) % shape[1], step}, 1);
            }
        }
        return labels;
    }

    /** One object in each image, in the first cell of the grid: left, top, right, bottom in units of the grid, then its class. */
    private INDArray boxes() {
        INDArray labels = Nd4j.zeros(DataType.FLOAT, BATCH, 4 + CLASSES, shape[1] / 32, shape[2] / 32);
        double[] corners = {0.2, 0.3, 0.9, 0.8};
        for (int image = 0; image < BATCH; image++) {
            for (int corner = 0; corner < corners.length; corner++) {
                labels.putScalar(new int[] {image, corner, 0, 0}, corners[corner]);
            }
            labels.putScalar(new int[] {image, 4 + image, 0, 0}, 1);
        }
        return labels;
    }
}
