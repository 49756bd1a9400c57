package io.github.dl4jlora.transformers.tensorflow;

import io.github.dl4jlora.internal.file.AtomicFile;
import io.github.dl4jlora.internal.untrusted.Safetensors;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Makes a folder in Hugging Face's format from a BERT in Google's format: a TensorFlow checkpoint with the masked-language-model
 * head, and {@code vocab.txt}. The checkpoints of https://github.com/google-research/bert and their versions on TensorFlow Hub
 * have this format.
 *
 * <p>The folder holds {@code config.json}, {@code model.safetensors}, {@code tokenizer.json}, {@code tokenizer_config.json} and
 * {@code vocab.txt}, from which Python's transformers read a {@code BertForMaskedLM}.
 */
public final class BertConversion {

    private static final ObjectMapper JSON = new ObjectMapper();

    private BertConversion() {
    }

    /**
     * Converts a checkpoint, one tensor in memory at a time. The folder appears completely or not at all.
     *
     * @param prefix     of the checkpoint's files, for {@link TensorBundle#open}
     * @param vocabulary a token in each line
     * @param lowerCase  whether it is one of the "uncased" networks, which know only lower-case letters without accents
     * @param folder     to make, with the folders above it
     * @return how many parameters the network has
     * @throws FileAlreadyExistsException if the folder exists
     * @throws IOException                naming the file, if the checkpoint or the vocabulary is missing, damaged, or not that of
     *                                    a BERT, or the folder cannot be written
     */
    public static long convert(Path prefix, Path vocabulary, boolean lowerCase, Path folder) throws IOException {
        if (Files.exists(folder, LinkOption.NOFOLLOW_LINKS)) {
            throw new FileAlreadyExistsException(folder.toString(), null, "it exists. Delete it, or name another");
        }
        try (TensorBundle bundle = TensorBundle.open(prefix)) {
            BertVariables bert = BertVariables.of(bundle);
            WordPieces pieces = WordPieces.read(vocabulary, bert.sizes().vocabulary());
            byte[] config = JSON.writerWithDefaultPrettyPrinter().writeValueAsBytes(config(bert.sizes(), pieces));
            byte[] tokenizer = pieces.tokenizerJson(lowerCase);
            byte[] tokenizerConfig = JSON.writerWithDefaultPrettyPrinter().writeValueAsBytes(
                    tokenizerConfig(bert.sizes(), lowerCase));
            Map<String, AtomicFile.Content> files = new LinkedHashMap<>();
            files.put("config.json", out -> out.write(config));
            files.put("tokenizer.json", out -> out.write(tokenizer));
            files.put("tokenizer_config.json", out -> out.write(tokenizerConfig));
            files.put("vocab.txt", out -> out.write(pieces.file()));
            files.put("model.safetensors", out -> Safetensors.writeOneByOne(out, tensors(bundle, bert), Map.of("format", "pt")));
            AtomicFile.writeFolder(folder, files);
            return bert.parameters();
        }
    }

    private static Map<String, Safetensors.Later> tensors(TensorBundle bundle, BertVariables bert) {
        Map<String, Safetensors.Later> tensors = new LinkedHashMap<>();
        for (BertVariables.Tensor tensor : bert.tensors()) {
            tensors.put(tensor.name(), new Safetensors.Later(DataType.FLOAT, tensor.shape(), () -> {
                INDArray values = bundle.read(tensor.variable());
                if (!tensor.turned()) {
                    return values;
                }
                try (values) {
                    return values.transpose().dup('c');
                }
            }));
        }
        return tensors;
    }

    /** Settings that do not follow from the weights are the same for all of Google's networks. */
    private static Map<String, Object> config(BertVariables.Sizes sizes, WordPieces pieces) {
        Map<String, Object> config = new LinkedHashMap<>();
        config.put("architectures", List.of("BertForMaskedLM"));
        config.put("model_type", "bert");
        config.put("vocab_size", sizes.vocabulary());
        config.put("max_position_embeddings", sizes.positions());
        config.put("type_vocab_size", sizes.types());
        config.put("hidden_size", sizes.hidden());
        config.put("num_hidden_layers", sizes.layers());
        config.put("num_attention_heads", sizes.heads());
        config.put("intermediate_size", sizes.intermediate());
        config.put("hidden_act", "gelu");
        config.put("layer_norm_eps", 1e-12);
        config.put("hidden_dropout_prob", 0.1);
        config.put("attention_probs_dropout_prob", 0.1);
        config.put("initializer_range", 0.02);
        config.put("position_embedding_type", "absolute");
        config.put("pad_token_id", pieces.padding());
        config.put("tie_word_embeddings", true);
        config.put("torch_dtype", "float32");
        return config;
    }

    private static Map<String, Object> tokenizerConfig(BertVariables.Sizes sizes, boolean lowerCase) {
        Map<String, Object> config = new LinkedHashMap<>();
        config.put("tokenizer_class", "BertTokenizer");
        config.put("do_lower_case", lowerCase);
        config.put("model_max_length", sizes.positions());
        return config;
    }
}
