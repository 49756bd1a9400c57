package io.github.dl4jlora.evidence;

import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;

/** Claims of a Maven profile, found by {@link java.util.ServiceLoader}. */
public interface EvidenceSource {

    /**
     * The claims that can be examined.
     *
     * @param data   the folder with what was fetched
     * @param leaves receives a sentence about what is left out for lack of data, and how to get the data
     * @return an empty list if all data is missing
     */
    List<Claim> claims(Path data, Consumer<String> leaves);
}
