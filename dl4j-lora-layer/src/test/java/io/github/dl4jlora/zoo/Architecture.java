package io.github.dl4jlora.zoo;

import io.github.dl4jlora.LoRAConfig;
import io.github.dl4jlora.Networks;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
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
    },
    RES_NET_50(Output.CLASSES, 3, 96, 96) {
        @Override
        ZooModel<?> model() {
            return ResNet50.builder().inputShape(shape).numClasses(CLASSES).build();
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
            return TextGenerationLSTM.builder().totalUniqueCharacters(shape[0]).inputShape(new int[] {shape[1], shape[0]}).build();
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
    XCEPTION(Output.CLASSES, 3, 96, 96) {
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

    void target(LoRAConfig.Builder config) {
        switch (this) {
            case RES_NET_50, NAS_NET -> config.targets("output");
            case XCEPTION -> config.targets("predictions");
            case TEXT_GENERATION -> config.targets("layer2");
            default -> { }
        }
    }

    DataSet batch() {
        long[] inputs = new long[shape.length + 1];
        inputs[0] = BATCH;
        for (int i = 0; i < shape.length; i++) {
            inputs[i + 1] = shape[i];
        }
        INDArray x = Networks.random(DataType.FLOAT, 1, inputs);
        INDArray y = switch (output) {
            case CLASSES -> Nd4j.eye(CLASSES).castTo(DataType.FLOAT).getRows(3, 1);
            case SEQUENCE -> Nd4j.zeros(DataType.FLOAT, inputs);
            case PIXELS -> Nd4j.zeros(DataType.FLOAT, BATCH, 1, shape[1], shape[2]);
            case BOXES -> Nd4j.zeros(DataType.FLOAT, BATCH, 4 + CLASSES, shape[1] / 32, shape[2] / 32);
        };
        switch (output) {
            case CLASSES -> {
            }
            case SEQUENCE -> {
                for (int step = 0; step < shape[1]; step++) {
                    y.putScalar(new int[] {step % BATCH, step * 5 % shape[0], step}, 1);
                    y.putScalar(new int[] {(step + 1) % BATCH, step * 3 % shape[0], step}, 1);
                }
            }
            case PIXELS -> {
                for (int i = 0; i < y.length(); i += 3) {
                    y.putScalar(i, 1);
                }
            }
            case BOXES -> {
                // One box an image, in grid units: corners, then the class in the cell of its centre.
                for (int image = 0; image < BATCH; image++) {
                    double[] corners = {0.2, 0.3, 0.9, 0.8};
                    for (int corner = 0; corner < 4; corner++) {
                        y.putScalar(new int[] {image, corner, 0, 0}, corners[corner]);
                    }
                    y.putScalar(new int[] {image, 4 + image, 0, 0}, 1);
                }
            }
        }
        return new DataSet(x, y);
    }
}
