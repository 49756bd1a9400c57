package io.github.dl4jlora.transformers.checkpoint;

import io.github.dl4jlora.internal.file.AtomicFile;
import io.github.dl4jlora.internal.untrusted.Safetensors;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.nd4j.shade.jackson.databind.node.ObjectNode;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Tensors in one file or, where that were too large, in several that an index names. */
final class Shards {

    private Shards() {
    }

    /**
     * Adds the files.
     *
     * @param most the largest size of a file in bytes, unless a single tensor is larger
     */
    static void addTo(Map<String, AtomicFile.Content> files, Map<String, Safetensors.Later> tensors, Map<String, String> metadata,
                      long most) throws IOException {
        List<Map<String, Safetensors.Later>> shards = shards(tensors, most);
        if (shards.size() == 1) {
            files.put(TensorFiles.WHOLE, out -> Safetensors.writeOneByOne(out, tensors, metadata));
            return;
        }
        ObjectNode index = new ObjectMapper().createObjectNode();
        index.putObject("metadata").put("total_size", tensors.values().stream().mapToLong(Shards::bytes).sum());
        ObjectNode places = index.putObject("weight_map");
        for (int i = 0; i < shards.size(); i++) {
            String name = String.format(Locale.ROOT, "model-%05d-of-%05d.safetensors", i + 1, shards.size());
            Map<String, Safetensors.Later> shard = shards.get(i);
            shard.keySet().forEach(tensor -> places.put(tensor, name));
            files.put(name, out -> Safetensors.writeOneByOne(out, shard, metadata));
        }
        byte[] text = ConfigFile.text(index);
        files.put(TensorFiles.INDEX, out -> out.write(text));
    }

    private static List<Map<String, Safetensors.Later>> shards(Map<String, Safetensors.Later> tensors, long most) {
        List<Map<String, Safetensors.Later>> shards = new ArrayList<>(List.of(new LinkedHashMap<>()));
        long size = 0;
        for (Map.Entry<String, Safetensors.Later> tensor : tensors.entrySet()) {
            long bytes = bytes(tensor.getValue());
            if (size > 0 && size + bytes > most) {
                shards.add(new LinkedHashMap<>());
                size = 0;
            }
            shards.get(shards.size() - 1).put(tensor.getKey(), tensor.getValue());
            size += bytes;
        }
        return shards;
    }

    private static long bytes(Safetensors.Later tensor) {
        return Arrays.stream(tensor.shape()).reduce(tensor.type().width(), Math::multiplyExact);
    }
}
