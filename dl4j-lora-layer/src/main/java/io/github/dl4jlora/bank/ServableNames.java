package io.github.dl4jlora.bank;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/** Filters the names that a source lists: leaves out those that nobody can ask for, and logs each of these once. */
final class ServableNames {

    private static final Logger LOG = LoggerFactory.getLogger(ServableNames.class);
    /** So that somebody who makes new folders all the time does not fill memory and log. */
    private static final int MOST_LOGGED = 1000;

    private final String where;
    private final Set<String> logged = ConcurrentHashMap.newKeySet();

    /** @param where the names come from, as the start of a sentence */
    ServableNames(String where) {
        this.where = where;
    }

    List<String> of(List<String> names) {
        return names.stream().filter(this::mayBe).toList();
    }

    /** Whether an adapter may have this name; logs it if not. */
    boolean mayBe(String name) {
        Optional<String> defect = AdapterName.defect(name);
        defect.ifPresent(why -> leaveOut(name, why));
        return defect.isEmpty();
    }

    /** Logs why this name is not listed, the first time. */
    void leaveOut(String name, String why) {
        if (logged.size() < MOST_LOGGED && logged.add(name)) {
            LOG.warn("{} has \"{}\", which is not listed. {}", where, AdapterName.shown(name), why);
        }
    }
}
