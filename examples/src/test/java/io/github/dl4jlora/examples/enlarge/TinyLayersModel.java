package io.github.dl4jlora.examples.enlarge;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.LongStream;

/** Files as of the real network, with every kind of layer and a few random weights. */
final class TinyLayersModel {

    private final List<String> layers = new ArrayList<>();
    private final List<String> weights = new ArrayList<>();
    private final List<float[]> values = new ArrayList<>();
    private final Random random = new Random(5);

    private TinyLayersModel() {
        layers.add("""
                {"class_name": "InputLayer", "name": "LR", "inbound_nodes": [],
                 "config": {"batch_input_shape": [null, null, null, 3], "dtype": "float32"}}""");
        convolution("first", "LR", 3, 3, 8);
        layer("Activation", "relu", "\"activation\": \"relu\"", "first");
        convolution("second", "relu", 1, 8, 4);
        layer("Concatenate", "both", "\"axis\": 3", "relu", "second");
        convolution("third", "both", 3, 12, 8);
        layer("Add", "sum", "\"dtype\": \"float32\"", "first", "third");
        layer("UpSampling2D", "large", "\"size\": [2, 2], \"interpolation\": \"nearest\"", "sum");
        convolution("SR", "large", 3, 8, 3);
    }

    /** {@return the folder, with {@code model.json} and {@code shard.bin}} */
    static Path write(Path folder) throws IOException {
        new TinyLayersModel().writeTo(Files.createDirectories(folder));
        return folder;
    }

    private void layer(String type, String name, String config, String... inputs) {
        String from = List.of(inputs).stream().map(input -> "[\"" + input + "\", 0, 0, {}]").collect(Collectors.joining(", "));
        layers.add("{\"class_name\": \"" + type + "\", \"name\": \"" + name + "\", \"config\": {" + config
                + "}, \"inbound_nodes\": [[" + from + "]]}");
    }

    private void convolution(String name, String from, int side, int in, int out) {
        layer("Conv2D", name, "\"filters\": " + out + ", \"kernel_size\": [" + side + ", " + side + "], \"strides\": [1, 1], "
                + "\"padding\": \"same\", \"data_format\": \"channels_last\", \"dilation_rate\": [1, 1], \"groups\": 1, "
                + "\"activation\": \"linear\", \"use_bias\": true", from);
        weight(name + "/kernel", side, side, in, out);
        weight(name + "/bias", out);
    }

    private void weight(String name, long... shape) {
        float[] drawn = new float[(int) LongStream.of(shape).reduce(1, (a, b) -> a * b)];
        for (int i = 0; i < drawn.length; i++) {
            drawn[i] = (float) random.nextGaussian() / 4;
        }
        weights.add("{\"name\": \"" + name + "\", \"shape\": " + LongStream.of(shape).boxed().toList() + ", \"dtype\": \"float32\"}");
        values.add(drawn);
    }

    private void writeTo(Path folder) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(4 * values.stream().mapToInt(array -> array.length).sum())
                .order(ByteOrder.LITTLE_ENDIAN);
        for (float[] array : values) {
            for (float value : array) {
                bytes.putFloat(value);
            }
        }
        Files.write(folder.resolve("shard.bin"), bytes.array());
        Files.writeString(folder.resolve(LayersFiles.MODEL), "{\"format\": \"layers-model\", \"modelTopology\": {\"model_config\": "
                + "{\"config\": {\"layers\": [" + String.join(",\n", layers) + "]}}}, \"weightsManifest\": [{\"paths\": "
                + "[\"shard.bin\"], \"weights\": [" + String.join(",\n", weights) + "]}]}");
    }
}
