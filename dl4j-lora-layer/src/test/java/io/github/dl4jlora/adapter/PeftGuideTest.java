package io.github.dl4jlora.adapter;

import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;

/** The samples of docs/guide/peft.md; {@link GuideTest} finds them here. */
class PeftGuideTest {

    @TempDir
    private Path folder;
    private final LoRAAdapter tuned = Adapters.on(Networks.trainedGraph(), LoRAConfig.builder().rank(3), 1);

    @Test
    void shareWithPython() throws IOException {
        tuned.save(folder);
        AdapterFiles.Tensors file = AdapterFiles.open(folder.resolve("adapter_model.safetensors"));
        Map<String, INDArray> renamed = new LinkedHashMap<>();
        for (String name : file.names()) {
            renamed.put(name.replace("fc1", "encoder.dense").replace("fc2", "encoder.proj"), file.read(name));
        }
        AdapterFiles.write(folder.resolve("adapter_model.safetensors"), renamed, Map.of("format", "pt"));
        Path config = folder.resolve("adapter_config.json");
        Files.writeString(config, Files.readString(config).replace("fc1", "encoder.dense").replace("fc2", "encoder.proj"));

        Map<String, String> layers = Map.of("encoder.dense", "fc1", "encoder.proj", "fc2");
        LoRAAdapter adapter = LoRAAdapter.loader().keyMapper(layers::get).load(folder);

        assertThat(adapter.layers()).containsExactly("fc1", "fc2");
        shareUnderOtherNames(adapter, folder.resolve("new"));
    }

    private static void shareUnderOtherNames(LoRAAdapter adapter, Path folder) throws IOException {
        adapter.saver().keyMapper(Map.of("fc1", "encoder.dense", "fc2", "encoder.proj")::get).save(folder);
        assertThat(LoRAAdapter.load(folder).layers()).containsExactly("encoder.dense", "encoder.proj");
        adapter.saver().baseModel("roberta-base").taskType("SEQ_CLS").save(folder);
        assertThat(AdapterFiles.config(folder).path("task_type").asText()).isEqualTo("SEQ_CLS");
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        adapter.saver().save(out);
        ByteArrayInputStream in = new ByteArrayInputStream(out.toByteArray());
        LoRAAdapter again = LoRAAdapter.loader().load(in);
        assertThat(again.layers()).isEqualTo(adapter.layers());
    }
}
