package io.github.dl4jlora.bank;

import io.github.dl4jlora.adapter.LoRAAdapter;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * Where an {@link AdapterBank} finds adapters that were not added to it: when one is first asked for, and again after it had to
 * make room, or after {@link AdapterBank#refresh}. Called by several threads at once, but for one name by one at a time.
 */
public interface AdapterSource {

    /**
     * What there is at the moment.
     *
     * @return names of adapters; a bank leaves out those that break {@link AdapterName}, and says so in the log
     * @throws IOException if that cannot be found out
     */
    List<String> names() throws IOException;

    /**
     * Fetches an adapter.
     *
     * @param name by which a request asks for it: whatever a stranger wrote within {@link AdapterName}, if requests are a
     *             stranger's
     * @return the adapter; empty if there is none of that name
     * @throws IOException if there is one, and it cannot be read
     */
    Optional<LoRAAdapter> load(String name) throws IOException;

    /**
     * A folder with a folder for each adapter, by its name, as {@link LoRAAdapter#save} and PEFT write it. Files, and folders
     * whose names begin with a point, are none. A folder whose name breaks {@link AdapterName}, or that lacks one of an adapter's
     * two files, is not listed; the log says so once for each name.
     *
     * @param folder need not be there yet
     * @return what reads it anew each time
     */
    static AdapterSource folder(Path folder) {
        return new FolderSource(folder);
    }
}
