package io.github.dl4jlora.bank;

import io.github.dl4jlora.adapter.LoRAAdapter;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * Where an {@link AdapterBank} finds adapters that were not added to it: when one is asked for the first time, and again after it
 * made room for others, or after {@link AdapterBank#refresh AdapterBank.refresh}. Several threads call it at once, but only one
 * at a time for a name.
 *
 * <pre>{@code
 * AdapterSource folder = AdapterSource.folder(Path.of("adapters"));    // adapters/spam, adapters/tone, …
 * AdapterBank bank = new AdapterBank(base, BankConfig.builder().source(folder).maxBytes(1L << 30).build());
 * INDArray answer = bank.output("spam", input);                        // read now
 * }</pre>
 */
public interface AdapterSource {

    /**
     * Lists what there is at the moment.
     *
     * @return names of adapters; a bank leaves out those that break {@link AdapterName}, and logs them
     * @throws IOException if the list cannot be read
     */
    List<String> names() throws IOException;

    /**
     * Fetches an adapter.
     *
     * @param name that a request asks for. If requests come from strangers it is any text that {@link AdapterName} allows
     * @return the adapter; empty if there is none of that name
     * @throws IOException if there is one but it cannot be read
     */
    Optional<LoRAAdapter> load(String name) throws IOException;

    /**
     * A folder with a subfolder for each adapter, of the adapter's name, as {@link LoRAAdapter#save LoRAAdapter.save} and PEFT
     * write it. Files and subfolders whose names begin with a dot are ignored. A subfolder whose name breaks {@link AdapterName},
     * or that lacks one of an adapter's two files, is not listed; this is logged once for each name.
     *
     * @param folder need not be there yet
     * @return a source that reads the folder anew each time
     */
    static AdapterSource folder(Path folder) {
        return new FolderSource(folder);
    }
}
