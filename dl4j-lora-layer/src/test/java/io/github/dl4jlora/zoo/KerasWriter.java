package io.github.dl4jlora.zoo;

import org.bytedeco.hdf5.Attribute;
import org.bytedeco.hdf5.DataSet;
import org.bytedeco.hdf5.DataSpace;
import org.bytedeco.hdf5.Group;
import org.bytedeco.hdf5.H5File;
import org.bytedeco.hdf5.H5Object;
import org.bytedeco.hdf5.PredType;
import org.bytedeco.hdf5.StrType;
import org.bytedeco.hdf5.global.hdf5;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.FloatPointer;
import org.deeplearning4j.nn.modelimport.keras.Hdf5Archive;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** Writes sequential models with random weights, as Keras 2.3 saves them. */
final class KerasWriter {

    private static final String NONE = "{\"class_name\": \"Zeros\", \"config\": {}}";

    private final Random random = new Random(6);
    private final List<String> layers = new ArrayList<>();
    private final Map<String, Map<String, long[]>> weights = new LinkedHashMap<>();

    /** A layer's JSON; {@code config} begins with what its kind has alone. */
    static String json(String kind, String name, String config) {
        StringBuilder text = new StringBuilder("{\"class_name\": \"" + kind + "\", \"config\": {\"name\": \"" + name
                + "\", \"trainable\": true, " + config + ", \"activity_regularizer\": null");
        for (String of : List.of("kernel", "recurrent", "bias", "depthwise", "pointwise", "alpha", "beta", "gamma",
                "moving_mean", "moving_variance", "embeddings")) {
            text.append(", \"" + of + "_initializer\": " + NONE + ", \"" + of + "_regularizer\": null, \"" + of
                    + "_constraint\": null");
        }
        return text.append("}}").toString();
    }

    /** @param shapes by the weight's name, after that of the group they are in, if they have one of their own */
    KerasWriter layer(String kind, String name, String config, Map<String, long[]> shapes) {
        layers.add(json(kind, name, config));
        weights.put(name, shapes);
        return this;
    }

    void write(Path file) {
        synchronized (Hdf5Archive.LOCK_OBJECT) {
            H5File h5 = new H5File(file.toString(), hdf5.H5F_ACC_TRUNC());
            text(h5, "keras_version", "2.3.1");
            text(h5, "backend", "tensorflow");
            text(h5, "model_config", "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"model\", \"layers\": ["
                    + String.join(", ", layers) + "]}}");
            Group root = h5.createGroup("model_weights");
            weights.forEach((layer, shapes) -> {
                Group group = root.createGroup(layer);
                List<String> names = shapes.keySet().stream().map(name -> layer + "/" + name + ":0").toList();
                text(group, "weight_names", names.isEmpty() ? " " : String.join("", names));
                Map<String, Group> groups = new LinkedHashMap<>();
                for (Map.Entry<String, long[]> weight : shapes.entrySet()) {
                    String[] path = (layer + "/" + weight.getKey()).split("/");
                    String at = "";
                    Group inner = group;
                    for (String step : Arrays.copyOf(path, path.length - 1)) {
                        at += "/" + step;
                        Group outer = inner;
                        inner = groups.computeIfAbsent(at, none -> outer.createGroup(step));
                    }
                    values(inner, path[path.length - 1] + ":0", weight.getValue());
                }
                groups.values().forEach(Group::deallocate);
                group.deallocate();
            });
            root.deallocate();
            h5.deallocate();
        }
    }

    private void values(Group group, String name, long[] shape) {
        float[] values = new float[(int) Arrays.stream(shape).reduce(1, (a, b) -> a * b)];
        for (int i = 0; i < values.length; i++) {
            values[i] = random.nextFloat() + 0.1f;
        }
        try (DataSpace space = new DataSpace(shape.length, shape);
             DataSet data = group.createDataSet(name, PredType.NATIVE_FLOAT(), space);
             FloatPointer pointer = new FloatPointer(values)) {
            data.write(pointer, PredType.NATIVE_FLOAT());
        }
    }

    private static void text(H5Object at, String name, String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        try (StrType type = new StrType(PredType.C_S1(), bytes.length); DataSpace space = new DataSpace(hdf5.H5S_SCALAR);
             Attribute attribute = at.createAttribute(name, type, space); BytePointer pointer = new BytePointer(bytes)) {
            attribute.write(type, pointer);
        }
    }
}
