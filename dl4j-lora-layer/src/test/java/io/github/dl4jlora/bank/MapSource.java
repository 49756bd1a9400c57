package io.github.dl4jlora.bank;

import io.github.dl4jlora.adapter.LoRAAdapter;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;

/** Adapters in memory, which tells what it was asked for, and does what a test wants before it answers. */
final class MapSource implements AdapterSource {

    /** What happens before an adapter is given. */
    interface Before {
        void load(String name) throws IOException;
    }

    final Map<String, LoRAAdapter> adapters = new ConcurrentHashMap<>();
    final ConcurrentLinkedQueue<String> asked = new ConcurrentLinkedQueue<>();
    /** How many threads fetched one adapter at a time, at most. */
    final AtomicInteger mostAtOnce = new AtomicInteger();
    volatile Before before = name -> { };
    private final Map<String, AtomicInteger> atOnce = new ConcurrentHashMap<>();

    @Override
    public List<String> names() {
        return adapters.keySet().stream().sorted().toList();
    }

    @Override
    public Optional<LoRAAdapter> load(String name) throws IOException {
        asked.add(name);
        AtomicInteger present = atOnce.computeIfAbsent(name, key -> new AtomicInteger());
        mostAtOnce.accumulateAndGet(present.incrementAndGet(), Math::max);
        try {
            Optional<LoRAAdapter> found = Optional.ofNullable(adapters.get(name));
            before.load(name);
            return found;
        } finally {
            present.decrementAndGet();
        }
    }
}
