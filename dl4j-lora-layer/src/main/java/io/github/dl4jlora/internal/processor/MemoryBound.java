package io.github.dl4jlora.internal.processor;

import org.bytedeco.javacpp.Pointer;

/**
 * Runs Java's collector when the process has become large. ND4J's arrays are no part of the heap, nor of the bytes that
 * JavaCPP's {@code maxbytes} counts: only the process's size shows arrays that wait for the collector. With
 * {@code maxphysicalbytes}, JavaCPP asks the system for that size at each allocation; a thread of this class asks now and then.
 */
public final class MemoryBound {

    private static final long PAUSE_MILLIS = 20;
    /**
     * A process that is large because of what it holds would collect without end: so the next time is when it has grown by one
     * part in {@value}.
     */
    private static final int SHARE = 16;

    private static volatile long watched;

    private MemoryBound() {
    }

    /** The bound of a process by JavaCPP's defaults; 0, no bound, where {@code maxbytes} is 0. */
    public static long ofJavaCpp() {
        return Pointer.maxBytes() == 0 ? 0 : Pointer.maxBytes() + 3 * Runtime.getRuntime().maxMemory();
    }

    /** The bound of this process, kept by JavaCPP or by a thread of this class; 0 without a bound. */
    public static long ofProcess() {
        return Pointer.maxPhysicalBytes() > 0 ? Pointer.maxPhysicalBytes() : watched;
    }

    /** Watches until the process ends. */
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
