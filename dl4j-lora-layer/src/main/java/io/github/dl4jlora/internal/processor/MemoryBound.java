package io.github.dl4jlora.internal.processor;

import org.bytedeco.javacpp.Pointer;

/**
 * Has Java's collector run where the process has become large. ND4J's arrays are no part of the heap, nor of the bytes that
 * JavaCPP's {@code maxbytes} counts: the process's size alone tells of those that wait for the collector. By
 * {@code maxphysicalbytes}, JavaCPP asks the system for it at each allocation; a thread of ours asks now and then.
 */
public final class MemoryBound {

    private static final long PAUSE_MILLIS = 20;
    /** A process that is large by what it holds would collect without end: the next time is for a share more. */
    private static final int SHARE = 16;

    private static volatile long watched;

    private MemoryBound() {
    }

    /** What JavaCPP holds a process to where nothing is said; 0 where {@code maxbytes} is 0, for no bound. */
    public static long ofJavaCpp() {
        return Pointer.maxBytes() == 0 ? 0 : Pointer.maxBytes() + 3 * Runtime.getRuntime().maxMemory();
    }

    /** What the process is held to, by JavaCPP or by a thread of ours; 0 without a bound. */
    public static long ofProcess() {
        return Pointer.maxPhysicalBytes() > 0 ? Pointer.maxPhysicalBytes() : watched;
    }

    /** Watches to the end of the process. */
    public static void watch(long bytes) {
        Thread thread = new Thread(() -> run(bytes), "dl4j-lora: bounds the process's memory");
        thread.setDaemon(true);
        watched = bytes;
        thread.start();
    }

    private static void run(long bytes) {
        long limit = bytes;
        while (pause()) {
            if (Pointer.physicalBytes() > limit) {
                System.gc();
                // ND4J's own threads free what the collector found.
                pause();
                long size = Pointer.physicalBytes();
                limit = Math.max(bytes, size + size / SHARE);
            }
        }
    }

    private static boolean pause() {
        try {
            Thread.sleep(PAUSE_MILLIS);
            return true;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return false;
        }
    }
}
