package io.github.dl4jlora.adapter;

import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;

/** Adapter files by hand, independent of the library's own reader and writer. */
final class AdapterFiles {

    static final String TENSORS = "adapter_model.safetensors";
    static final String CONFIG = "adapter_config.json";
    static final ObjectMapper JSON = new ObjectMapper();

    private AdapterFiles() {
    }

    static JsonNode config(Path folder) throws IOException {
        return JSON.readTree(Files.readAllBytes(folder.resolve(CONFIG)));
    }

    static JsonNode header(Path folder) throws IOException {
        byte[] file = Files.readAllBytes(folder.resolve(TENSORS));
        return JSON.readTree(new String(file, 8, headerLength(file), StandardCharsets.UTF_8));
    }

    static int headerLength(byte[] file) {
        return Math.toIntExact(ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN).getLong(0));
    }

    /** A tensor of four-byte floats, row by row. */
    static double[][] matrix(Path folder, String name) throws IOException {
        int columns = header(folder).path(name).path("shape").get(1).asInt();
        double[] flat = numbers(folder, name);
        double[][] rows = new double[flat.length / columns][];
        for (int i = 0; i < rows.length; i++) {
            rows[i] = Arrays.copyOfRange(flat, i * columns, (i + 1) * columns);
        }
        return rows;
    }

    static double[] numbers(Path folder, String name) throws IOException {
        JsonNode offsets = header(folder).path(name).path("data_offsets");
        byte[] file = Files.readAllBytes(folder.resolve(TENSORS));
        ByteBuffer data = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN)
                .position(8 + headerLength(file) + offsets.get(0).asInt());
        double[] numbers = new double[(offsets.get(1).asInt() - offsets.get(0).asInt()) / 4];
        for (int i = 0; i < numbers.length; i++) {
            numbers[i] = data.getFloat();
        }
        return numbers;
    }

    static byte[] safetensors(String header, byte[] data) {
        byte[] text = header.getBytes(StandardCharsets.UTF_8);
        return ByteBuffer.allocate(8 + text.length + data.length).order(ByteOrder.LITTLE_ENDIAN)
                .putLong(text.length).put(text).put(data).array();
    }

    /** As Python's safetensors and PEFT lay it out: float32, names sorted. */
    static byte[] safetensors(Map<String, float[][]> tensors) {
        StringBuilder header = new StringBuilder("{\"__metadata__\":{\"format\":\"pt\"}");
        int length = tensors.values().stream().mapToInt(rows -> rows.length * rows[0].length * 4).sum();
        ByteBuffer data = ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
        for (Map.Entry<String, float[][]> tensor : tensors.entrySet()) {
            int begin = data.position();
            for (float[] row : tensor.getValue()) {
                for (float value : row) {
                    data.putFloat(value);
                }
            }
            header.append(String.format(",\"%s\":{\"dtype\":\"F32\",\"shape\":[%d,%d],\"data_offsets\":[%d,%d]}", tensor.getKey(),
                    tensor.getValue().length, tensor.getValue()[0].length, begin, data.position()));
        }
        return safetensors(header + "}   ", data.array());
    }
}
