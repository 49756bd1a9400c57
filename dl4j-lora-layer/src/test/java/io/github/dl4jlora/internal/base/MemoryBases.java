package io.github.dl4jlora.internal.base;

import io.github.dl4jlora.conf.BaseOpener;

import java.io.ByteArrayInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;

/** Saved networks at {@code memory:} locations; counts how often each is opened. */
public final class MemoryBases implements BaseOpener {

    private static final Map<URI, byte[]> FILES = new ConcurrentHashMap<>();
    private static final Map<URI, AtomicInteger> OPENED = new ConcurrentHashMap<>();
    private static final Map<URI, Opening> FIRST = new ConcurrentHashMap<>();

    /** What happens before a location is opened. */
    interface Opening {
        void begin() throws IOException;
    }

    public static void put(URI location, byte[] file) {
        FILES.put(location, file);
        OPENED.put(location, new AtomicInteger());
    }

    /** Has something happen before a location is opened for the first time. */
    static void beforeFirst(URI location, Opening opening) {
        FIRST.put(location, opening);
    }

    static int opened(URI location) {
        return OPENED.get(location).get();
    }

    @Override
    public boolean opens(URI location) {
        return "memory".equals(location.getScheme());
    }

    @Override
    public InputStream open(URI location) throws IOException {
        byte[] file = FILES.get(location);
        if (file == null) {
            throw new FileNotFoundException("no such memory");
        }
        OPENED.get(location).incrementAndGet();
        Opening first = FIRST.remove(location);
        if (first != null) {
            first.begin();
        }
        return new ByteArrayInputStream(file);
    }
}
