package io.github.dl4jlora.onnx;

import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.zoo.ZooModel;
import org.deeplearning4j.zoo.model.AlexNet;
import org.deeplearning4j.zoo.model.Darknet19;
import org.deeplearning4j.zoo.model.FaceNetNN4Small2;
import org.deeplearning4j.zoo.model.InceptionResNetV1;
import org.deeplearning4j.zoo.model.LeNet;
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
import org.junit.jupiter.api.Named;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Supplier;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

/**
 * DL4J's zoo with random weights and statistics, at sizes that take little time. Without NASNet, which DL4J 1.0.0-M2.1 cannot
 * build: its helper asks for the types of activations before there is an input.
 */
class ZooTest {

    @TempDir
    Path folder;

    @ParameterizedTest
    @MethodSource
    void smallModelsComputeTheSame(Zoo zoo) throws IOException {
        zoo.agrees();
    }

    static List<Named<Zoo>> smallModelsComputeTheSame() {
        return List.of(
                zoo("LeNet", 1, 28, () -> LeNet.builder().seed(1).numClasses(10).inputShape(image(1, 28)).build()),
                zoo("SimpleCNN", 3, 48, () -> SimpleCNN.builder().seed(1).numClasses(10).inputShape(image(3, 48)).build()),
                zoo("SqueezeNet", 3, 67, () -> SqueezeNet.builder().seed(1).numClasses(10).inputShape(image(3, 67)).build()));
    }

    @Tag("heavy")
    @ParameterizedTest
    @MethodSource
    void largeModelsComputeTheSame(Zoo zoo) throws IOException {
        zoo.agrees();
    }

    static List<Named<Zoo>> largeModelsComputeTheSame() {
        return List.of(
                zoo("AlexNet", 3, 224, () -> AlexNet.builder().seed(1).numClasses(10).inputShape(image(3, 224)).build()),
                zoo("Darknet19", 3, 64, () -> Darknet19.builder().seed(1).numClasses(10).inputShape(image(3, 64)).build()),
                zoo("VGG16", 3, 32, () -> VGG16.builder().seed(1).numClasses(10).inputShape(image(3, 32)).build()),
                zoo("VGG19", 3, 32, () -> VGG19.builder().seed(1).numClasses(10).inputShape(image(3, 32)).build()),
                zoo("UNet", 3, 64, () -> UNet.builder().seed(1).inputShape(image(3, 64)).build()),
                zoo("Xception", 3, 96, () -> Xception.builder().seed(1).numClasses(10).inputShape(image(3, 96)).build()),
                zoo("InceptionResNetV1", 3, 96,
                        () -> InceptionResNetV1.builder().seed(1).numClasses(10).inputShape(image(3, 96)).build()),
                zoo("FaceNetNN4Small2", 3, 96,
                        () -> FaceNetNN4Small2.builder().seed(1).numClasses(10).inputShape(image(3, 96)).build()),
                zoo("ResNet50", 3, 160, () -> ResNet50.builder().seed(1).numClasses(10).inputShape(image(3, 160)).build()));
    }

    @Test
    void textIsGeneratedByTheSameNetwork() throws IOException {
        Zoo zoo = new Zoo(InputType.recurrent(20, 9), () -> TextGenerationLSTM.builder().seed(1).totalUniqueCharacters(20)
                .inputShape(new int[]{20, 20}).build());
        zoo.agrees();
    }

    @Test
    @Tag("heavy")
    void decodingOfYolosBoxesIsRefused() {
        for (ZooModel<?> yolo : List.of(TinyYOLO.builder().seed(1).inputShape(image(3, 64)).build(),
                YOLO2.builder().seed(1).inputShape(image(3, 64)).build())) {
            Model network = yolo.init();
            assertThatThrownBy(() -> OnnxExport.of(network).inputTypes(InputType.convolutional(64, 64, 3))
                    .write(folder.resolve("yolo.onnx"))).isInstanceOf(OnnxExportException.class)
                    .hasMessageContaining("decoding").hasMessageContaining("outputs");
        }
    }

    private static int[] image(int channels, int side) {
        return new int[]{channels, side, side};
    }

    private static Named<Zoo> zoo(String name, int channels, int side, Supplier<ZooModel<?>> model) {
        return Named.of(name, new Zoo(InputType.convolutional(side, side, channels), model));
    }

    /**
     * A model of the zoo.
     *
     * @param type of its input
     */
    private record Zoo(InputType type, Supplier<ZooModel<?>> model) {

        void agrees() throws IOException {
            Model network = model.get().init();
            Nd4j.getRandom().setSeed(7);
            network.paramTable().forEach(Zoo::vary);
            InRuntime.agrees(network, OnnxExport.of(network).inputTypes(type), Trial.input(type, 2));
        }

        /** Weights that keep the size of activations, which no layer saturates. */
        private static void vary(String key, INDArray values) {
            INDArray normal = Nd4j.randn(DataType.FLOAT, values.shape());
            if (key.endsWith("_var")) {
                values.assign(Nd4j.rand(DataType.FLOAT, values.shape()).add(0.5));
            } else if (key.endsWith("_gamma")) {
                values.assign(normal.mul(0.1).add(1));
            } else if (key.endsWith("W")) {
                boolean depth = values.rank() == 4 && values.size(0) == 1;
                long inputs = values.rank() == 2 ? values.size(0) : values.length() / values.size(depth ? 1 : 0);
                values.assign(normal.mul(Math.sqrt(2.0 / inputs)));
            } else {
                values.assign(normal.mul(0.1));
            }
        }
    }
}
