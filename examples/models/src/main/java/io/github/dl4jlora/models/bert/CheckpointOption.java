package io.github.dl4jlora.models.bert;

import io.github.dl4jlora.models.encoder.Tokenizer;
import io.github.dl4jlora.transformers.Checkpoint;
import picocli.CommandLine.Option;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Which network. */
final class CheckpointOption {

    @Option(names = "--checkpoint", paramLabel = "<folder>", defaultValue = BertBase.FOLDER,
            description = "A Hugging Face folder of BERT, RoBERTa or DistilBERT. Default: ${DEFAULT-VALUE}, which convert makes.")
    private Path folder;

    Checkpoint open() throws IOException {
        if (!Files.isDirectory(folder)) {
            throw new FileNotFoundException("There is no folder " + folder.toAbsolutePath().normalize()
                    + ". Make that of BERT-base with convert, or name one with --checkpoint FOLDER");
        }
        return Checkpoint.open(folder);
    }

    /** @param maxTokens of a text that are read */
    Tokenizer tokenizer(Checkpoint checkpoint, int maxTokens) throws IOException {
        return Tokenizer.of(folder, checkpoint, maxTokens);
    }
}
