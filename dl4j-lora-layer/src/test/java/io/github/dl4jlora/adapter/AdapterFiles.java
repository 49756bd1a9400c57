package io.github.dl4jlora.adapter;

import io.github.dl4jlora.internal.untrusted.Safetensors;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Adapter files by hand, independent of the library's own reader and writer. */
public final class AdapterFiles {

    public static final String TENSORS = "adapter_model.safetensors";
    public static final String CONFIG = "adapter_config.json";
    public static final ObjectMapper JSON = new ObjectMapper();

    /** As PEFT 0.20 writes it, for one layer; what the future may add is in it too. */
    public static final String PEFT_CONFIG = """
            {
              "alpha_pattern": {}, "arrow_config": null, "auto_mapping": null, "base_model_name_or_path": null,
              "bias": "none", "corda_config": null, "ensure_weight_tying": false, "eva_config": null,
              "exclude_modules": null, "fan_in_fan_out": false, "inference_mode": true, "init_lora_weights": true,
              "layer_replication": null, "layers_pattern": null, "layers_to_transform": null, "loftq_config": {},
              "lora_alpha": 16, "lora_bias": false, "lora_dropout": 0.0, "megatron_config": null,
              "megatron_core": "megatron.core", "modules_to_save": null, "peft_type": "LORA", "peft_version": "0.20.0",
              "qalora_group_size": 16, "r": 2, "rank_pattern": {}, "revision": null, "target_modules": ["fc1"],
              "target_parameters": null, "task_type": null, "trainable_token_indices": null, "use_dora": false,
              "use_qalora": false, "use_rslora": false, "a_setting_of_the_future": null
            }
            """;

    private AdapterFiles() {
    }

    /** What is in a file of tensors, all of it. */
    public record Tensors(Map<String, INDArray> values, Map<String, String> metadata) {

        public List<String> names() {
            return List.copyOf(values.keySet());
        }

        public INDArray read(String name) {
            return values.get(name);
        }

        public long[] shape(String name) {
            return values.get(name).shape();
        }
    }

    public static Tensors open(Path file) throws IOException {
        try (Safetensors tensors = Safetensors.open(file)) {
            Map<String, INDArray> values = new LinkedHashMap<>();
            for (String name : tensors.names()) {
                values.put(name, tensors.read(name));
            }
            return new Tensors(values, tensors.metadata());
        }
    }

    public static void write(Path file, Map<String, INDArray> tensors, Map<String, String> metadata) throws IOException {
        try (OutputStream out = Files.newOutputStream(file)) {
            Safetensors.write(out, tensors, metadata);
        }
    }

    /** A folder of PEFT's with the layer fc1: A [rank, in], B [out, rank]. */
    public static void writePeft(Path folder, String config, float[][] a, float[][] b) throws IOException {
        Map<String, float[][]> tensors = new LinkedHashMap<>();
        tensors.put("base_model.model.fc1.lora_A.weight", a);
        tensors.put("base_model.model.fc1.lora_B.weight", b);
        Files.write(folder.resolve(TENSORS), safetensors(tensors));
        Files.writeString(folder.resolve(CONFIG), config);
    }

    public static JsonNode config(Path folder) throws IOException {
        return JSON.readTree(Files.readAllBytes(folder.resolve(CONFIG)));
    }

    public static JsonNode header(Path folder) throws IOException {
        byte[] file = Files.readAllBytes(folder.resolve(TENSORS));
        return JSON.readTree(new String(file, 8, headerLength(file), StandardCharsets.UTF_8));
    }

    public static int headerLength(byte[] file) {
        return Math.toIntExact(ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN).getLong(0));
    }

    /** A tensor of four-byte floats, row by row. */
    public static double[][] matrix(Path folder, String name) throws IOException {
        int columns = header(folder).path(name).path("shape").get(1).asInt();
        double[] flat = numbers(folder, name);
        double[][] rows = new double[flat.length / columns][];
        for (int i = 0; i < rows.length; i++) {
            rows[i] = Arrays.copyOfRange(flat, i * columns, (i + 1) * columns);
        }
        return rows;
    }

    public static double[] numbers(Path folder, String name) throws IOException {
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

    public static byte[] safetensors(String header, byte[] data) {
        byte[] text = header.getBytes(StandardCharsets.UTF_8);
        return ByteBuffer.allocate(8 + text.length + data.length).order(ByteOrder.LITTLE_ENDIAN)
                .putLong(text.length).put(text).put(data).array();
    }

    /** As Python's safetensors and PEFT lay it out: float32, names sorted. */
    public static byte[] safetensors(Map<String, float[][]> tensors) {
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
