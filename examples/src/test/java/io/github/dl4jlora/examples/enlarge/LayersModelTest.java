package io.github.dl4jlora.examples.enlarge;

import io.github.dl4jlora.Python;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

class LayersModelTest {

    private static final Path REAL = Path.of("target/enlarge/network");
    private static final int HEIGHT = 12;
    private static final int WIDTH = 10;

    @TempDir
    private Path folder;

    @Test
    void layersHaveTheNamesAndWeightsOfTheFile() throws IOException {
        ComputationGraph network = LayersModel.open(TinyLayersModel.write(folder), 1);

        LayersFiles.Weight kernel = LayersFiles.read(folder).weights().get("third/kernel");
        assertThat(network.numParams()).isEqualTo(3 * 3 * 3 * 8 + 8 + 8 * 4 + 4 + 9 * 12 * 8 + 8 + 9 * 8 * 3 + 3);
        assertThat(kernel.shape()).containsExactly(3, 3, 12, 8);
        assertThat(network.getLayer("third").getParam("W").getFloat(5, 7, 2, 1))
                .isEqualTo(kernel.values()[((2 * 3 + 1) * 12 + 7) * 8 + 5]);
        assertThat(network.outputSingle(input()).shape()).containsExactly(1, 3, 2 * HEIGHT, 2 * WIDTH);
    }

    @Test
    void theRealNetworkComputesWhatTensorFlowJsComputes() throws IOException {
        assumeTrue(Files.exists(REAL), "examples/fetch-enlarge.sh has not been run");
        ComputationGraph network = LayersModel.open(REAL, 1);

        assertThat(network.numParams()).isEqualTo(222_075);
        INDArray out = network.outputSingle(input());
        // What @tensorflow/tfjs 4.22.0 makes of the same files and the same colours, on its backend "cpu".
        assertThat(out.getFloat(0, 0, 0, 0)).isCloseTo(107.80332f, within(1e-3f));
        assertThat(out.getFloat(0, 1, 0, 0)).isCloseTo(78.23518f, within(1e-3f));
        assertThat(out.getFloat(0, 2, 0, 0)).isCloseTo(72.8935f, within(1e-3f));
        assertThat(out.getFloat(0, 1, 5, 7)).isCloseTo(126.40449f, within(1e-3f));
        assertThat(out.getFloat(0, 2, 23, 19)).isCloseTo(93.33202f, within(1e-3f));
        assertThat(out.meanNumber().doubleValue()).isCloseTo(132.74528, within(1e-3));
    }

    @Test
    @Tag("heavy")
    void networksComputeWhatPyTorchComputes() throws Exception {
        Python.require("torch");
        assertAgreesWithPyTorch(TinyLayersModel.write(folder.resolve("tiny")));
        assumeTrue(Files.exists(REAL), "examples/fetch-enlarge.sh has not been run");
        assertAgreesWithPyTorch(REAL);
    }

    private void assertAgreesWithPyTorch(Path model) throws Exception {
        INDArray input = input();
        Path source = folder.resolve("input");
        Path target = folder.resolve("output");
        ByteBuffer bytes = ByteBuffer.allocate(4 * (int) input.length()).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asFloatBuffer().put(input.dup('c').data().asFloat());
        Files.write(source, bytes.array());
        Path log = folder.resolve("log");
        String script = Path.of(LayersModelTest.class.getResource("layers_model.py").toURI()).toString();
        int status = new ProcessBuilder(Python.PROGRAM, script, model.toString(), source.toString(), target.toString(),
                String.valueOf(HEIGHT), String.valueOf(WIDTH)).redirectErrorStream(true).redirectOutput(log.toFile()).start()
                .waitFor();
        assertThat(status).as("python says %s", Files.readString(log)).isZero();

        INDArray here = LayersModel.open(model, 1).outputSingle(input);
        FloatBuffer there = ByteBuffer.wrap(Files.readAllBytes(target)).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
        float[] expected = new float[there.remaining()];
        there.get(expected);
        // Of values up to 255.
        assertThat(here.sub(Nd4j.create(expected, here.shape(), 'c')).amaxNumber().doubleValue()).isLessThan(2e-3);
    }

    /** Colours that any language draws alike: Park and Miller's numbers, by row, column, colour. */
    private static INDArray input() {
        long state = 12345;
        float[] values = new float[HEIGHT * WIDTH * 3];
        for (int i = 0; i < values.length; i++) {
            state = state * 16807 % 2147483647;
            values[i] = state % 256;
        }
        return Nd4j.create(values, new long[] {1, HEIGHT, WIDTH, 3}, 'c').permute(0, 3, 1, 2).dup('c');
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
            "\"layers-model\" | \"graph-model\" | only a layers-model is read",
            "\"Add\" | \"Multiply\" | layer sum: its type is Multiply, but only these are read",
            "[\"first\", 0, 0, {}], [\"third\" | [\"third\", 0, 0, {}], [\"none\" | but one of them does not come before the "
                    + "layer",
            "\"name\": \"relu\" | \"name\": \"first\" | needs a name of its own",
            "\"strides\": [1, 1] | \"strides\": [2, 2] | layer first: strides and dilation other than 1",
            "\"padding\": \"same\" | \"padding\": \"valid\" | only \"same\" is read",
            "\"filters\": 4 | \"filters\": 2000000000 | layer second: its kernel should be of shape",
            "\"axis\": 3 | \"axis\": 1 | axis is 1, but only the channel axis",
            "\"activation\": \"relu\" | \"activation\": \"tanh\" | only relu is read",
            "\"size\": [2, 2] | \"size\": [99, 99] | one factor up to 16",
            "shard.bin | ../shard.bin | is not a plain name of a file beside it",
            "\"shape\": [3, 3, 12, 8] | \"shape\": [3, 3, 12, 9] | bytes",
            "\"shape\": [3, 3, 12, 8] | \"shape\": [2000000000, 2000000000, 2000000000] | the shape is",
            "\"shape\": [3, 3, 12, 8] | \"shape\": [3, -3, 12, 8] | the shape is",
            "\"dtype\": \"float32\", \"shape\" | \"dtype\": \"uint8\", \"shape\" | only unquantised float32",
            "\"name\": \"second/bias\" | \"name\": \"first/bias\" | two weights named",
            "{\"format\" | {{\"format\" | is not JSON, or is damaged"})
    void whatIsNotUnderstoodIsNamed(String found, String changed, String message) throws IOException {
        Path file = TinyLayersModel.write(folder).resolve(LayersFiles.MODEL);
        String text = Files.readString(file);
        assertThat(text).contains(found);
        Files.writeString(file, text.replace(found, changed));

        assertThatThrownBy(() -> LayersModel.open(folder, 1)).isInstanceOf(IOException.class).hasMessageContaining(message)
                .hasMessageContaining(LayersFiles.MODEL);
    }

    @Test
    void aShardThatIsMissingTooShortOrNotFiniteIsRefused() throws IOException {
        Path shard = TinyLayersModel.write(folder).resolve("shard.bin");
        byte[] bytes = Files.readAllBytes(shard);

        Files.write(shard, Arrays.copyOf(bytes, bytes.length - 4));
        assertThatThrownBy(() -> LayersModel.open(folder, 1)).isInstanceOf(IOException.class)
                .hasMessageContaining("more weights");
        Files.write(shard, Arrays.copyOf(bytes, bytes.length + 4));
        assertThatThrownBy(() -> LayersModel.open(folder, 1)).isInstanceOf(IOException.class).hasMessageContaining("describes");
        ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putFloat(8, Float.NaN);
        Files.write(shard, bytes);
        assertThatThrownBy(() -> LayersModel.open(folder, 1)).isInstanceOf(IOException.class).hasMessageContaining("NaN");
        Files.delete(shard);
        assertThatThrownBy(() -> LayersModel.open(folder, 1)).isInstanceOf(FileNotFoundException.class)
                .hasMessageContaining("shard.bin");
    }

    @Test
    void damagedFilesEndInAnIOException() throws IOException {
        Path file = TinyLayersModel.write(folder).resolve(LayersFiles.MODEL);
        byte[] whole = Files.readAllBytes(file);
        Random random = new Random(3);
        for (int i = 0; i < 300; i++) {
            byte[] damaged = whole.clone();
            for (int j = 0; j <= i % 3; j++) {
                damaged[random.nextInt(damaged.length)] = (byte) (random.nextInt(96) + 32);
            }
            Files.write(file, i % 7 == 0 ? Arrays.copyOf(damaged, random.nextInt(damaged.length)) : damaged);
            try {
                LayersModel.open(folder, 1);
            } catch (IOException e) {
                assertThat(e).hasMessageContaining(folder.toString());
            }
        }
    }
}
