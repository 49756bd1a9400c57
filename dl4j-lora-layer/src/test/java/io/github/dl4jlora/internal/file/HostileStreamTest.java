package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.Damage;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.Zips;
import io.github.dl4jlora.internal.stored.ModelZip;
import io.github.dl4jlora.internal.stored.StreamedModel;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Whoever reads a network layer by layer is as hard to deceive as who restores it whole. */
@Tag("heavy")
class HostileStreamTest extends HostileParameters {

    private static final long PAGE = 4096;

    @BeforeEach
    void aSoundBase() throws IOException {
        ModelSerializer.writeModel(Networks.trainedLayers(), file.toFile(), false);
        entries = Zips.read(file);
    }

    /** All values one after the other. */
    private INDArray streamed() throws IOException {
        List<INDArray> values = new ArrayList<>();
        StreamedModel.open(file.toFile()).forEach((layer, array) -> values.add(array));
        return Nd4j.concat(0, values.toArray(INDArray[]::new));
    }

    @Override
    void loadIsRefused(String... parts) {
        assertThatThrownBy(this::streamed).isInstanceOf(IOException.class)
                .hasMessageContaining("model.zip").hasMessageContainingAll(parts);
    }

    @Override
    int parameters() {
        return 83;
    }

    @ParameterizedTest
    @CsvSource({"1000000000, 1000000000", "9223372036854775807, 2", "4294967296, 4294967296", "3037000500, 3037000500", "-5, 5"})
    void layersLargerThanTheFileAreRefusedBeforeTheyAreMade(long in, long out) throws IOException {
        configure(configuration().replaceFirst("(?s)\"nin\" : 5(.*?)\"nout\" : 5", "\"nin\" : " + in + "$1\"nout\" : " + out));

        refused("model.zip");
    }

    /** Address space is not promised either: the stand-in would be of 144 MB. */
    @Test
    void zerosThatExpandFarMoreThanWeightsDoAreRefused() throws IOException {
        long length = wide(3_000_000);
        try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(file))) {
            zip.putNextEntry(new ZipEntry(CONFIGURATION));
            zip.write(entries.get(CONFIGURATION));
            Zips.putZeros(zip, COEFFICIENTS, header("FLOAT", length), 1 << 20);
        }

        loadIsRefused(COEFFICIENTS, length + " values of type FLOAT", "expand");
    }

    /** Makes the hidden layers so wide on one side. */
    private long wide(long units) {
        configure(configuration().replaceFirst("\"nout\" : 5", "\"nout\" : " + units)
                .replaceFirst("\"nin\" : 5", "\"nin\" : " + units));
        return (6 + 1 + 5) * units + 5 + (5 + 1) * 3;
    }

    @ParameterizedTest
    @ValueSource(doubles = {0, 0.2, 0.5, 0.9, 0.999})
    void aTruncatedFileIsRefused(double part) throws IOException {
        byte[] whole = Files.readAllBytes(file);
        Files.write(file, Arrays.copyOf(whole, (int) (whole.length * part)));

        loadIsRefused("model.zip");
    }

    @Test
    void damageIsRefusedAsByWhoRestoresTheWhole() throws IOException {
        campaign(33, 400);
    }

    @Test
    void muchDamageIsRefusedAsByWhoRestoresTheWhole() throws IOException {
        campaign(34, 6_000);
    }

    private void campaign(long seed, int mutations) throws IOException {
        for (boolean graph : new boolean[] {false, true}) {
            ModelSerializer.writeModel(graph ? Networks.trainedGraph() : Networks.trainedLayers(), file.toFile(), false);
            byte[] whole = Files.readAllBytes(file);
            entries = Zips.read(file);
            Random random = new Random(seed);
            int refused = 0;
            for (int i = 0; i < mutations; i++) {
                if (random.nextInt(4) == 0) {
                    Files.write(file, Damage.to(whole, whole.length, ModelFuzzTest.TOKENS, random));
                } else {
                    String name = random.nextBoolean() ? CONFIGURATION : COEFFICIENTS;
                    Map<String, byte[]> damaged = new LinkedHashMap<>(entries);
                    byte[] entry = entries.get(name);
                    damaged.put(name, Damage.to(entry, Math.min(entry.length, name.equals(CONFIGURATION) ? entry.length
                            : ModelFuzzTest.HEADERS), ModelFuzzTest.TOKENS, random));
                    Zips.write(file, damaged);
                }
                refused += areRefused("mutation " + i + " of seed " + seed) ? 1 : 0;
            }
            assertThat(refused).isBetween(mutations / 4, mutations - 1);
        }
    }

    private boolean areRefused(String description) {
        INDArray expected = null;
        try {
            Model restored = ModelZip.restore(file.toFile(), false);
            expected = restored.params().ravel();
        } catch (IOException e) {
            assertThatThrownBy(this::streamed).as(description).isInstanceOf(IOException.class)
                    .hasMessageContaining("model.zip");
            return true;
        }
        try {
            // By the bits: damage makes NaN, too.
            assertThat(streamed().data().asBytes()).as(description).isEqualTo(expected.dup().data().asBytes());
            return false;
        } catch (IOException e) {
            throw new AssertionError(description + " is restored, but refused layer by layer", e);
        }
    }

    @Test
    @EnabledOnOs(OS.LINUX)
    void aFileThatIsRefusedIsClosed() throws IOException {
        byte[] whole = entries.get(COEFFICIENTS);
        entries.put(COEFFICIENTS, Arrays.copyOf(whole, whole.length - 1));
        Zips.write(file, entries);

        refusalsLeaveNothingOpen("end early");
    }

    /** Of 48 MB each. What else the process maps and unmaps meanwhile does not count. */
    @Test
    @EnabledOnOs(OS.LINUX)
    void addressSpaceGoesWithTheStandIns() throws IOException, InterruptedException {
        entries.put(COEFFICIENTS, header("FLOAT", wide(1_000_000)));
        Zips.write(file, entries);
        List<Model> standIns = new ArrayList<>();
        List<Long> addresses = new ArrayList<>();
        for (int i = 0; i < 40; i++) {
            Model standIn = StreamedModel.open(file.toFile()).standIn();
            standIns.add(standIn);
            addresses.add(standIn.params().data().address());
        }
        assertThat(mapped(addresses)).isEqualTo(addresses);
        List<Long> untouched = new ArrayList<>();
        for (long address : addresses) {
            // A page that is touched may be a huge one.
            if (residentPages(address, 48_000_000 / PAGE) < 2_000) {
                untouched.add(address);
            }
        }
        // A few blocks may be memory that tests before this one have freed, and that the allocator has kept.
        assertThat(untouched).hasSizeGreaterThan(addresses.size() * 3 / 4);

        standIns.clear();

        for (int tries = 0; tries < 100 && mapped(addresses).size() > addresses.size() / 4; tries++) {
            System.gc();
            Thread.sleep(50);
        }
        assertThat(mapped(addresses)).hasSizeLessThanOrEqualTo(addresses.size() / 4);
    }

    private static List<Long> mapped(List<Long> addresses) throws IOException {
        List<long[]> areas = Files.readAllLines(Path.of("/proc/self/maps")).stream().map(line -> line.split("[- ]"))
                .map(line -> new long[] {Long.parseUnsignedLong(line[0], 16), Long.parseUnsignedLong(line[1], 16)}).toList();
        return addresses.stream().filter(address -> areas.stream().anyMatch(area -> area[0] <= address && address < area[1]))
                .toList();
    }

    /** Of the table of pages, which has 64 bits for each; the highest says that it is in memory. */
    private static int residentPages(long address, long pages) throws IOException {
        try (RandomAccessFile table = new RandomAccessFile("/proc/self/pagemap", "r")) {
            table.seek(address / PAGE * Long.BYTES);
            byte[] entries = new byte[Math.toIntExact(pages * Long.BYTES)];
            table.readFully(entries);
            int resident = 0;
            for (int i = Long.BYTES - 1; i < entries.length; i += Long.BYTES) {
                resident += entries[i] < 0 ? 1 : 0;
            }
            return resident;
        }
    }
}
