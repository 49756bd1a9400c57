package io.github.dl4jlora.benchmarks;

import com.sun.jna.Function;
import com.sun.jna.NativeLibrary;
import com.sun.jna.Structure;

import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Memory that C's allocator has handed out, in bytes: ND4J's arrays and workspaces, temporary arrays of native operations, and
 * little else. For GNU's allocator only.
 */
final class NativeHeap {

    private static final Function MALLINFO = NativeLibrary.getProcess().getFunction("mallinfo2");
    private static final int COLLECTIONS = 3;
    private static final long REST_MILLIS = 150;

    private NativeHeap() {
    }

    /** As in malloc.h. */
    public static final class Info extends Structure implements Structure.ByValue {

        public long arena;
        public long ordblks;
        public long smblks;
        public long hblks;
        public long hblkhd;
        public long usmblks;
        public long fsmblks;
        public long uordblks;
        public long fordblks;
        public long keepcost;

        @Override
        protected List<String> getFieldOrder() {
            return List.of("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks",
                    "keepcost");
        }
    }

    static long inUse() {
        Info info = (Info) MALLINFO.invoke(Info.class, new Object[0]);
        return info.uordblks + info.hblkhd;
    }

    /** Bytes in use after Java's collector has freed unreachable arrays. */
    static long atRest() throws InterruptedException {
        for (int i = 0; i < COLLECTIONS; i++) {
            System.gc();
            Thread.sleep(REST_MILLIS);
        }
        return inUse();
    }

    /** The most that was in use during an action, polled by another thread. */
    static long peakOf(Runnable action) throws InterruptedException {
        AtomicLong peak = new AtomicLong();
        AtomicBoolean done = new AtomicBoolean();
        Thread watch = new Thread(() -> {
            while (!done.get()) {
                peak.accumulateAndGet(inUse(), Math::max);
            }
        });
        watch.start();
        action.run();
        done.set(true);
        watch.join();
        return peak.get();
    }
}
