package io.github.dl4jlora.bank;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/** Names that a source lists, without those that nobody can ask for. Each of those is told once, by log. */
final class ServableNames {

    private static final Logger LOG = LoggerFactory.getLogger(ServableNames.class);
    /** Whoever makes new folders all the time is not to fill memory and log. */
    private static final int MOST_TOLD = 1000;

    private final String where;
    private final Set<String> told = ConcurrentHashMap.newKeySet();

    /** @param where the names are from, at the start of a sentence */
    ServableNames(String where) {
        this.where = where;
    }

    List<String> of(List<String> names) {
        return names.stream().filter(this::mayBe).toList();
    }

    /** Whether an adapter may be called so. */
    boolean mayBe(String name) {
        Optional<String> defect = AdapterName.defect(name);
        defect.ifPresent(why -> leaveOut(name, why));
        return defect.isEmpty();
    }

    /** Says why this name is not listed, the first time. */
    void leaveOut(String name, String why) {
        if (told.size() < MOST_TOLD && told.add(name)) {
            LOG.warn("{} has \"{}\", which is not listed. {}", where, AdapterName.shown(name), why);
        }
    }
}
