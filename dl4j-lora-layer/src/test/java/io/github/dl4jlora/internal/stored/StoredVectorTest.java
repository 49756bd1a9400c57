package io.github.dl4jlora.internal.stored;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** A vector as ND4J writes it, with shape information that is skipped and a header that is compared. */
class StoredVectorTest {

    @TempDir
    private Path folder;

    /** @param shape how many numbers of shape information there are */
    private ZipFile zip(int shape, int length) throws IOException {
        return zip(shape, length, 0);
    }

    /** @param after how many bytes of zeros follow the values */
    private ZipFile zip(int shape, int length, int after) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        DataOutputStream out = new DataOutputStream(bytes);
        out.writeUTF("LONG_SHAPE");
        out.writeLong(shape);
        out.writeUTF("LONG");
        out.write(new byte[8 * Math.max(0, shape)]);
        out.writeUTF("MIXED_DATA_TYPES");
        out.writeLong(length);
        out.writeUTF("FLOAT");
        for (int i = 0; i < length; i++) {
            out.writeFloat(i + 1);
        }
        out.write(new byte[after]);
        Path file = folder.resolve("a.zip");
        try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(file))) {
            zip.putNextEntry(new ZipEntry("it"));
            zip.write(bytes.toByteArray());
        }
        return new ZipFile(file.toFile());
    }

    private static StoredVector open(ZipFile zip, int length, long mostBytes) throws IOException {
        return StoredVector.open(zip, zip.getEntry("it"), length, mostBytes);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 8, 68})
    void shapeInformationOfUpTo32DimensionsIsSkipped(int shape) throws IOException {
        try (ZipFile zip = zip(shape, 3)) {
            INDArray all = open(zip, 3, 1000).all();

            assertThat(all.shape()).containsExactly(1, 3);
            assertThat(all.toFloatVector()).containsExactly(1, 2, 3);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {-1, 69})
    void otherShapeInformationIsRefused(int shape) throws IOException {
        try (ZipFile zip = zip(shape, 3)) {
            assertThatThrownBy(() -> open(zip, 3, 1000)).isInstanceOf(IOException.class)
                    .hasMessage("it: its shape claims " + shape + " numbers");
        }
    }

    @ParameterizedTest
    @CsvSource({"12, true", "15, true", "11, false", "3, false"})
    void itTakesNoMoreBytesThanItsEntryCanHold(int bytes, boolean fits) throws IOException {
        try (ZipFile zip = zip(8, 3)) {
            if (fits) {
                open(zip, 3, bytes).close();
            } else {
                assertThatThrownBy(() -> open(zip, 3, bytes)).isInstanceOf(IOException.class)
                        .hasMessageContaining("would expand");
            }
        }
    }

    /** Also one whose value is 0. */
    @Test
    void aByteAfterTheValuesIsRefusedHoweverTheyAreRead() throws IOException {
        try (ZipFile zip = zip(8, 3, 1)) {
            assertThatThrownBy(() -> open(zip, 3, 1000).all()).isInstanceOf(IOException.class)
                    .hasMessageContaining("followed by surplus");
            try (StoredVector vector = open(zip, 3, 1000)) {
                vector.next(3);
                assertThatThrownBy(vector::end).isInstanceOf(IOException.class).hasMessageContaining("followed by surplus");
            }
        }
    }

    @Test
    void valuesComeInPiecesAndTheirEndIsLookedAt() throws IOException {
        try (ZipFile zip = zip(8, 20_000); StoredVector vector = open(zip, 20_000, 80_000)) {
            assertThat(vector.type()).isEqualTo(DataType.FLOAT);
            assertThat(vector.next(2).toFloatVector()).containsExactly(1, 2);
            assertThatThrownBy(vector::end).isInstanceOf(IOException.class).hasMessageContaining("followed by surplus");
        }
        try (ZipFile zip = zip(8, 20_000); StoredVector vector = open(zip, 20_000, 80_000)) {
            float[] values = vector.next(20_000).toFloatVector();

            assertThat(values[16_384]).as("of the second piece of 2^16 bytes").isEqualTo(16_385);
            assertThat(values[19_999]).isEqualTo(20_000);
            vector.end();
            assertThatThrownBy(() -> vector.next(1)).isInstanceOf(IOException.class).hasMessage("it: its values end early");
        }
    }
}
