package io.github.dl4jlora.internal.onednn;

import org.bytedeco.dnnl.stream;
import org.bytedeco.javacpp.Pointer;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;

/** A thread's compiled primitives: those that it used last. What many threads use is compiled once, by oneDNN's own cache. */
final class Calls {

    /** Enough for the layers of one network and a few sizes of a batch. */
    static final int MOST = 128;

    private static final ThreadLocal<Calls> OF_THREAD = ThreadLocal.withInitial(Calls::new);

    private final stream cpuStream = new stream(OneDnn.Cpu.ENGINE);
    private final Working working = new Working();
    /** Empty for what oneDNN has no fast implementation of. */
    private final Map<Key, Optional<Call>> latest = new LinkedHashMap<>(16, 0.75f, true) {
        @Override
        protected boolean removeEldestEntry(Map.Entry<Key, Optional<Call>> eldest) {
            if (size() <= MOST) {
                return false;
            }
            eldest.getValue().ifPresent(Call::close);
            return true;
        }
    };

    private Calls() {
    }

    /**
     * Runs a primitive on this thread's behalf, compiled if need be, on as many threads as BLAS has.
     *
     * @param numbers   what it depends on, besides the number of threads
     * @param compiler  empty where oneDNN has none or no fast one
     * @param addresses of the operands
     * @return whether there is one; if not, nothing has been written
     */
    static boolean run(Class<?> kind, long[] numbers, Supplier<Optional<Call>> compiler, Pointer... addresses) {
        return run(OneDnn.threads(), kind, numbers, compiler, addresses);
    }

    /** As the other, on so many threads. */
    static boolean run(int threads, Class<?> kind, long[] numbers, Supplier<Optional<Call>> compiler, Pointer... addresses) {
        Calls own = OF_THREAD.get();
        Key key = key(threads, kind, numbers);
        return OneDnn.onThreads(threads, () -> own.run(key, compiler, addresses));
    }

    private static Key key(int threads, Class<?> kind, long[] numbers) {
        long[] all = new long[numbers.length + 1];
        System.arraycopy(numbers, 0, all, 1, numbers.length);
        all[0] = threads;
        return new Key(kind, all);
    }

    /** As {@link #run}, but does not run it. */
    static Optional<Call> find(int threads, Class<?> kind, long[] numbers, Supplier<Optional<Call>> compiler) {
        Calls own = OF_THREAD.get();
        Key key = key(threads, kind, numbers);
        return OneDnn.onThreads(threads, () -> own.find(key, compiler));
    }

    /** Runs what {@link #find} has just found, on as many threads as it was compiled for. */
    static void run(Call found, Pointer... addresses) {
        Calls own = OF_THREAD.get();
        OneDnn.onThreads(found.threads(), () -> {
            found.run(own.cpuStream, own.working, addresses);
            return found;
        });
    }

    private Optional<Call> find(Key key, Supplier<Optional<Call>> compiler) {
        Optional<Call> call = latest.get(key);
        if (call == null) {
            call = compiler.get();
            latest.put(key, call);
        }
        return call;
    }

    private boolean run(Key key, Supplier<Optional<Call>> compiler, Pointer... addresses) {
        Optional<Call> call = find(key, compiler);
        call.ifPresent(ready -> ready.run(cpuStream, working, addresses));
        return call.isPresent();
    }

    /** How many primitives this thread keeps. */
    static int kept() {
        return OF_THREAD.get().latest.size();
    }
}
