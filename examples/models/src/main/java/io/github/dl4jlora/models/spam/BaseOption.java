package io.github.dl4jlora.models.spam;

import io.github.dl4jlora.transformers.Checkpoint;
import picocli.CommandLine.Option;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Which pretrained network. */
final class BaseOption {

    private static final String OUTPUT = "examples/target/spam";

    @Option(names = "--checkpoint", paramLabel = "<folder>",
            description = "A Hugging Face folder of a family other than GPT-2, with config.json, model.safetensors and "
                    + "tokenizer.json. Default: all-MiniLM-L6-v2.")
    private Path folder;

    Base open() throws IOException {
        if (folder == null) {
            return new Base.OfMiniLm();
        }
        if (!Files.isDirectory(folder)) {
            throw new FileNotFoundException("There is no folder " + folder.toAbsolutePath().normalize()
                    + ". --checkpoint is a folder with config.json, model.safetensors and tokenizer.json; docs/models.md says "
                    + "how to make that of BERT-base");
        }
        Checkpoint checkpoint = Checkpoint.open(folder);
        if (checkpoint.shape().family().isCausal()) {
            throw new IOException(folder + " is a " + checkpoint.shape().family() + ", whose tokenizer and head know no padding: "
                    + "give a folder of BERT, RoBERTa or DistilBERT");
        }
        return new Base.OfCheckpoint(folder, checkpoint);
    }

    /** Where what is learned on it is kept. */
    Path output() {
        return Path.of(folder == null ? OUTPUT : OUTPUT + "-" + folder.toAbsolutePath().normalize().getFileName());
    }

    /** As options again, for another process. */
    List<String> arguments() {
        return folder == null ? List.of() : List.of("--checkpoint", folder.toAbsolutePath().toString());
    }
}
