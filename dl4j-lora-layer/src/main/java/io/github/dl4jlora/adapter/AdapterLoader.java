package io.github.dl4jlora.adapter;

import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.peft.PeftFolder;
import io.github.dl4jlora.internal.peft.PeftReader;
import io.github.dl4jlora.internal.untrusted.SpooledZip;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.NullUnmarked;

/**
 * Reads an adapter from PEFT's files, with options: {@code LoRAAdapter.loader().strict(false).load(folder)}.
 *
 * <pre>{@code
 * LoRAAdapter adapter = LoRAAdapter.loader()
 *         .keyMapper(module -> module.replace("encoder.", ""))    // a module's name to a layer's
 *         .strict(false)                                          // layers that are left over are ignored
 *         .load(Path.of("adapter"));
 * }</pre>
 */
public sealed class AdapterLoader permits LoRAAdapter.Loader {

    private UnaryOperator<String> keyMapper = UnaryOperator.identity();
    private boolean strict = true;

    AdapterLoader() {
    }

    /**
     * Sets which DL4J layer a PyTorch module is for. The module's name comes without {@code base_model.model.}; null leaves the
     * module out. Default: the same name.
     *
     * @param mapper from a module's name to a layer's
     * @return this loader
     */
    @NullUnmarked // A mapper takes no null, but may give it: both kinds of type must fit.
    public AdapterLoader keyMapper(UnaryOperator<String> mapper) {
        keyMapper = Objects.requireNonNull(mapper, "keyMapper");
        return this;
    }

    /**
     * Whether missing and surplus tensors are an error, which is the default. Otherwise they are left out, with a warning. A
     * surplus tensor without which an adapted layer would compute something else is refused in any case. This is for layers that
     * are incomplete: if a module of surplus tensors was trained, name it in {@code modules_to_save} instead.
     *
     * @param strict whether they are an error
     * @return this loader
     */
    public AdapterLoader strict(boolean strict) {
        this.strict = strict;
        return this;
    }

    /**
     * Reads PEFT's two files.
     *
     * @param folder with {@code adapter_model.safetensors} and {@code adapter_config.json}
     * @return the adapter
     * @throws AdapterFormatException if a file is missing, broken, of another kind, or asks for something that is not
     *                                supported, or if the mapper does not give every layer a name of its own
     * @throws IOException            if a file cannot be read
     */
    public LoRAAdapter load(Path folder) throws IOException {
        return new LoRAAdapter(new PeftReader(new PeftFolder(Objects.requireNonNull(folder, "The folder of the adapter is null")),
                keyMapper, strict).read());
    }

    /**
     * Reads PEFT's two files from a zip, as {@link AdapterSaver#save(java.io.OutputStream) AdapterSaver.save} writes it, or
     * from a zip of the folder.
     *
     * @param zip not closed, its position afterwards is undefined; at most 8 GiB unpacked, meanwhile in a temporary folder
     * @return the adapter
     * @throws AdapterFormatException if it is no such zip, or one of the files is broken, of another kind, or asks for something
     *                                that is not supported, or if the mapper does not give every layer a name of its own
     * @throws IOException            if the stream cannot be read
     */
    public LoRAAdapter load(InputStream zip) throws IOException {
        List<String> names = List.of(PeftFolder.CONFIG, PeftFolder.TENSORS);
        try (SpooledZip files = SpooledZip.of(zip, Set.copyOf(names))) {
            for (String name : names) {
                if (!Files.exists(files.folder().resolve(name))) {
                    throw new AdapterFormatException("The stream is a zip without " + name + "; an adapter's stream is a zip of "
                            + String.join(" and ", names));
                }
            }
            return load(files.folder());
        }
    }
}
