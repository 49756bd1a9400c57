package io.github.dl4jlora.examples.evidence;

import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;

/** Claims of a Maven profile, found by {@link java.util.ServiceLoader}. */
public interface EvidenceSource {

    /**
     * The claims that can be examined.
     *
     * @param data   the folder with what was fetched
     * @param leaves is told in a sentence what is left out for want of data, and how to get it
     * @return none, if all data is wanting
     */
    List<Claim> claims(Path data, Consumer<String> leaves);
}
