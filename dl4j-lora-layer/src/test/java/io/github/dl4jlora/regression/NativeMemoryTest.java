package io.github.dl4jlora.regression;

import io.github.dl4jlora.ChildJvm;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;

/**
 * Resident memory while something is done over and over: what each round takes it must give back. INDArrays do not count
 * in JavaCPP's Pointer.totalBytes(), so nothing less than the process's own size shows a leak of them. Each measurement has a JVM
 * of its own with a heap of fixed size, whose pages are all there at the start: only memory outside of the heap counts, and no
 * other test's.
 */
@EnabledOnOs(OS.LINUX)
@Tag("heavy")
class NativeMemoryTest {

    private static final List<String> FIXED_HEAP = List.of("-XX:+AlwaysPreTouch", "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1", "-Dorg.bytedeco.javacpp.maxphysicalbytes=0");

    @TempDir
    private Path folder;

    /** What these tests are worth: one array a round that is kept shows. */
    @Test
    void leakOfAnAdapterEachRoundWouldShow() throws Exception {
        assertThat(growth(MemoryRounds.ROUNDS_THAT_LEAK)).isGreaterThan(MemoryRounds.LIMIT);
    }

    @ParameterizedTest
    @EnumSource(value = MemoryRounds.class, mode = EnumSource.Mode.EXCLUDE, names = "ROUNDS_THAT_LEAK")
    void roundsTakeNothingThatStays(MemoryRounds rounds) throws Exception {
        assertThat(growth(rounds)).isLessThan(MemoryRounds.LIMIT);
    }

    private long growth(MemoryRounds rounds) throws Exception {
        return grownBy(List.of("-Xms512m", "-Xmx512m"), MemoryRounds.class, rounds.name());
    }

    /**
     * The copies in 32 bits are half a gigabyte in all, of which Java's heap knows nothing, so that no collection would come.
     */
    @Test
    void productsInSixteenBitsNeedNoCollectorToGiveTheirCopiesBack() throws Exception {
        long grown = grownBy(List.of("-Xms256m", "-Xmx256m", "-Xmn128m", "-XX:+DisableExplicitGC"), SixteenBitProducts.class);

        long copies = (long) SixteenBitProducts.PRODUCTS * SixteenBitProducts.ROWS * SixteenBitProducts.OUTPUTS * Float.BYTES;
        assertThat(grown).isLessThan(copies / 5);
    }

    private long grownBy(List<String> options, Class<?> main, String... arguments) throws Exception {
        List<String> all = new ArrayList<>(options);
        all.addAll(FIXED_HEAP);
        List<String> printed = ChildJvm.runIn(Map.of("OMP_NUM_THREADS", "1"), ChildJvm.classpath(), all, folder.resolve("log"),
                main, arguments);
        return printed.stream().filter(line -> line.startsWith(ResidentBytes.GROWN_BY)).mapToLong(line ->
                Long.parseLong(line.substring(ResidentBytes.GROWN_BY.length()))).findFirst().orElseThrow();
    }
}
