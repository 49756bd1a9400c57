package io.github.dl4jlora.transformers;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.LogCapture;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.TorchParameter;
import io.github.dl4jlora.internal.untrusted.Safetensors;
import org.deeplearning4j.nn.conf.graph.LayerVertex;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Sgd;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Adapter files of transformers whose layers were trained in full have the names and shapes of Hugging Face's modules. */
@Tag("heavy")
class ModulesInFullTest {

    private static final String PREFIX = "base_model.model.";
    private static final String ADAPTED = ".*(query|q_lin|attn\\.q|attn\\.c_attn)";

    @TempDir
    private Path folder;

    static Stream<Tiny> tiny() {
        return Stream.concat(Tiny.classifiers(), Tiny.languageModels());
    }

    private static ComputationGraph base(Tiny tiny) {
        return tiny.network(DataType.DOUBLE, new Sgd(0.1));
    }

    private static ComputationGraph tuned(ComputationGraph base, LoRAConfig.Builder config) {
        ComputationGraph tuned = LoRA.apply(base, config.rank(2).targets(ADAPTED).build());
        Nd4j.getRandom().setSeed(5);
        tuned.params().addi(Nd4j.randn(DataType.DOUBLE, tuned.params().shape()).muli(0.2));
        return tuned;
    }

    private Map<String, INDArray> saved(ComputationGraph tuned) throws IOException {
        try (LogCapture log = new LogCapture(LoRAAdapter.class)) {
            LoRAAdapter.of(tuned).save(folder);
            assertThat(log.messages()).noneMatch(line -> line.contains("PEFT"));
        }
        Map<String, INDArray> values = new LinkedHashMap<>();
        try (Safetensors file = Safetensors.open(folder.resolve("adapter_model.safetensors"))) {
            for (String name : file.names()) {
                values.put(name.substring(PREFIX.length()), file.read(name));
            }
        }
        return values;
    }

    private void assertComesBack(Tiny tiny, ComputationGraph base, ComputationGraph tuned) throws IOException {
        INDArray expected = tiny.output(tuned).dup();
        LoRAAdapter read = LoRAAdapter.load(folder);
        assertThat(tiny.output(LoRA.apply(base, read))).isEqualTo(expected);
        read.applyTo(tuned);
        assertThat(tiny.output(tuned)).isEqualTo(expected);
    }

    private static Map<String, TorchParameter> table(Tiny tiny, ComputationGraph network) {
        Map<String, TorchParameter> table = new LinkedHashMap<>();
        network.getConfiguration().getVertices().forEach((name, vertex) -> {
            if (vertex instanceof LayerVertex layer) {
                tiny.shape().family().names().parameters(name, layer.getLayerConf().getLayer())
                        .forEach(parameter -> table.put(parameter.tensor(), parameter));
            }
        });
        return table;
    }

    @ParameterizedTest
    @MethodSource("tiny")
    void everyLayerInFullIsWrittenAsItsModuleIsCheckpointed(Tiny tiny) throws IOException {
        ComputationGraph base = base(tiny);
        Map<String, TorchParameter> table = table(tiny, base);
        ComputationGraph tuned = tuned(base, LoRAConfig.builder().trainable("(?!" + ADAPTED + ").*"));

        Map<String, INDArray> file = saved(tuned);

        Set<String> expected = table.keySet().stream().filter(tensor -> !tensor.matches(ADAPTED + "\\.(weight|bias)"))
                .collect(Collectors.toCollection(TreeSet::new));
        assertThat(file.keySet().stream().filter(name -> !name.contains(".lora_"))).containsExactlyInAnyOrderElementsOf(expected);
        for (String tensor : expected) {
            TorchParameter parameter = table.get(tensor);
            assertThat(file.get(tensor)).as(tensor).isEqualTo(parameter.oriented(tuned.getLayer(parameter.layer())
                    .getParam(parameter.key())));
        }
        assertComesBack(tiny, base, tuned);
    }

    @ParameterizedTest
    @MethodSource("tiny")
    void allBiasesIncludeThoseOfLayerNormalisationAndOfTheVocabulary(Tiny tiny) throws IOException {
        ComputationGraph base = base(tiny);
        ComputationGraph tuned = tuned(base, LoRAConfig.builder().bias(BiasTraining.ALL));
        INDArray before = tuned.params().dup();
        tuned.fit(tiny.batch(DataType.DOUBLE));
        assertThat(tuned.params()).isNotEqualTo(before);

        Map<String, INDArray> file = saved(tuned);

        Set<String> biases = table(tiny, base).keySet().stream().filter(name -> name.endsWith(".bias"))
                .map(name -> name.matches(ADAPTED + "\\.bias") ? name.replaceAll("bias$", "base_layer.bias") : name)
                .collect(Collectors.toSet());
        assertThat(file.keySet().stream().filter(name -> !name.contains(".lora_"))).containsExactlyInAnyOrderElementsOf(biases);
        assertThat(Files.readString(folder.resolve("adapter_config.json"))).contains("\"bias\" : \"all\"")
                .contains("\"modules_to_save\" : null");
        assertComesBack(tiny, base, tuned);
    }

    @ParameterizedTest
    @MethodSource("tiny")
    void embeddingsInFullBesideAllBiasesComeBack(Tiny tiny) throws IOException {
        ComputationGraph base = base(tiny);
        ComputationGraph tuned = tuned(base, LoRAConfig.builder().trainable(".*embeddings").bias(BiasTraining.ALL));

        saved(tuned);

        assertComesBack(tiny, base, tuned);
    }

    @Test
    void theVocabularysBiasAloneBringsWhatPeftReadsWithIt() throws IOException {
        Tiny tiny = new Tiny(Tiny.shape(Family.BERT), Head.maskedWords());
        ComputationGraph base = base(tiny);
        ComputationGraph tuned = tuned(base, LoRAConfig.builder().trainable("cls\\.predictions"));

        Map<String, INDArray> file = saved(tuned);

        assertThat(file.keySet().stream().filter(name -> name.startsWith("cls."))).containsExactlyInAnyOrder(
                Stream.of("bias", "decoder.bias", "decoder.weight", "transform.dense.weight", "transform.dense.bias",
                        "transform.LayerNorm.weight", "transform.LayerNorm.bias")
                        .map(name -> "cls.predictions." + name).toArray(String[]::new));
        assertThat(file.get("cls.predictions.decoder.weight")).isEqualTo(base.getLayer("bert.embeddings").getParam("W"));
        assertThat(Files.readString(folder.resolve("adapter_config.json"))).contains("[ \"cls.predictions\" ]");
        assertComesBack(tiny, base, tuned);
    }

    @Test
    void decoderOfPeftsThatIsNoLongerTiedIsRefusedByName() throws IOException {
        Tiny tiny = new Tiny(Tiny.shape(Family.GPT2), Head.nextWord());
        ComputationGraph base = base(tiny);
        Map<String, INDArray> file = saved(tuned(base, LoRAConfig.builder().trainable(".*embeddings")));
        Map<String, INDArray> other = new LinkedHashMap<>();
        file.forEach((name, value) -> {
            if (!name.equals("lm_head.weight")) {
                other.put(PREFIX + name, value);
            }
        });
        try (OutputStream out = Files.newOutputStream(folder.resolve("adapter_model.safetensors"))) {
            Safetensors.write(out, other, Map.of("format", "pt"));
        }
        Files.writeString(folder.resolve("adapter_config.json"), "{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 2, "
                + "\"target_modules\": [\"c_attn\"], \"modules_to_save\": [\"wte\", \"wpe\"]}");

        assertThatThrownBy(() -> LoRA.apply(base, LoRAAdapter.load(folder))).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("\"transformer.wte.weight\" and \"lm_head.weight\" are one parameter");
    }
}
