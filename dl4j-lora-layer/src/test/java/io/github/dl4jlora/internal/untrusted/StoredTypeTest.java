package io.github.dl4jlora.internal.untrusted;

import io.github.dl4jlora.adapter.AdapterFiles;
import io.github.dl4jlora.exception.AdapterFormatException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.IntToDoubleFunction;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Every bit pattern of the small types, against their definitions. */
class StoredTypeTest {

    @TempDir
    Path folder;

    @Test
    void everyHalfIsReadAsIeee754Says() throws IOException {
        read("F16", 2, bits -> number(bits, 5, 10));
    }

    @Test
    void everyBfloat16IsTheUpperHalfOfAFloat() throws IOException {
        read("BF16", 2, bits -> Float.intBitsToFloat(bits << 16));
    }

    @Test
    void everyE5M2IsTheUpperHalfOfAHalf() throws IOException {
        read("F8_E5M2", 1, bits -> number(bits, 5, 2));
    }

    /** Its largest exponent is one like others; only all ones is no number. Micikevicius et al. 2022, arXiv:2209.05433. */
    @Test
    void everyE4M3IsReadAsItsAuthorsSay() throws IOException {
        read("F8_E4M3", 1, bits -> {
            double sign = bits < 128 ? 1 : -1;
            int exponent = bits >> 3 & 15;
            int fraction = bits & 7;
            return (bits & 127) == 127 ? Double.NaN : exponent == 0 ? sign * fraction / 8 * Math.pow(2, -6)
                    : sign * (1 + fraction / 8.0) * Math.pow(2, exponent - 7);
        });
    }

    @ParameterizedTest
    @EnumSource
    void onlyNumbersWithAFractionAreRead(StoredType type) throws IOException {
        Path file = folder.resolve("file");
        Files.write(file, AdapterFiles.safetensors("{\"t\":{\"dtype\":\"" + type + "\",\"shape\":[1],\"data_offsets\":[0,"
                + type.width() + "]}}", new byte[type.width()]));

        try (Safetensors read = Safetensors.open(file)) {
            boolean fraction = type.name().matches("B?F.*");
            assertThat(read.isFloatingPoint("t")).isEqualTo(fraction);
            if (fraction) {
                assertThat(read.read("t").getDouble(0)).isZero();
            } else {
                assertThatThrownBy(() -> read.read("t")).isInstanceOf(AdapterFormatException.class)
                        .hasMessageContainingAll("\"t\"", "the dtype " + type);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"HALF", "BFLOAT16"})
    void everyFiniteNumberIsWrittenAsItWasRead(DataType type) throws IOException {
        String name = StoredType.of(type).name();
        int infinity = type == DataType.HALF ? 0x7c00 : 0x7f80;
        byte[] data = bytes(IntStream.range(0, 1 << 16).filter(bits -> (bits & 0x7fff) < infinity).toArray(), 2);
        Path file = file(name, data, 2);
        INDArray values = AdapterFiles.open(file).read("t");

        Path again = folder.resolve("again");
        AdapterFiles.write(again, Map.of("t", values), Map.of());

        byte[] written = Files.readAllBytes(again);
        assertThat(Arrays.copyOfRange(written, written.length - data.length, written.length)).isEqualTo(data);
    }

    @ParameterizedTest
    @ValueSource(strings = {"I64", "I32", "I16", "I8", "U8", "BOOL"})
    void whatIsNoFloatingPointNumberMayStandInAFileButIsNotRead(String type) throws IOException {
        int width = StoredType.valueOf(type).width();
        Path file = file(type, new byte[width], width);

        try (Safetensors tensors = Safetensors.open(file)) {
            assertThat(tensors.names()).isEqualTo(List.of("t"));
            assertThatThrownBy(() -> tensors.read("t")).isInstanceOf(AdapterFormatException.class)
                    .hasMessageContaining("tensor \"t\" has the dtype " + type);
        }
    }

    private void read(String type, int width, IntToDoubleFunction definition) throws IOException {
        int[] all = IntStream.range(0, 1 << 8 * width).toArray();
        int[] finite = Arrays.stream(all).filter(bits -> Double.isFinite(definition.applyAsDouble(bits))).toArray();
        assertThat(finite).hasSizeGreaterThan(all.length / 2);

        INDArray values = AdapterFiles.open(file(type, bytes(finite, width), width)).read("t");

        double[] found = values.castTo(DataType.DOUBLE).toDoubleVector();
        for (int i = 0; i < finite.length; i++) {
            double expected = definition.applyAsDouble(finite[i]);
            // ND4J's own way from 16 bits to double loses some numbers below the smallest normal one.
            if (width == 1 || Math.abs(expected) > (type.equals("F16") ? 0x1p-14 : 0x1p-126)) {
                assertThat(found[i]).as("%x", finite[i]).isEqualTo(expected);
            }
        }
        for (int bits : Arrays.stream(all).filter(bits -> !Double.isFinite(definition.applyAsDouble(bits))).limit(20).toArray()) {
            Path file = file(type, bytes(new int[] {0, bits}, width), width);
            assertThatThrownBy(() -> AdapterFiles.open(file)).as("%x", bits).isInstanceOf(AdapterFormatException.class)
                    .hasMessageContaining("at position 1");
        }
    }

    private static double number(int bits, int exponentBits, int fractionBits) {
        double sign = bits >> exponentBits + fractionBits == 0 ? 1 : -1;
        int largest = (1 << exponentBits) - 1;
        int exponent = bits >> fractionBits & largest;
        double fraction = (bits & (1 << fractionBits) - 1) / (double) (1 << fractionBits);
        return exponent == largest ? fraction == 0 ? sign * Double.POSITIVE_INFINITY : Double.NaN
                : exponent == 0 ? sign * fraction * Math.pow(2, 1 - largest / 2)
                : sign * (1 + fraction) * Math.pow(2, exponent - largest / 2);
    }

    private static byte[] bytes(int[] patterns, int width) {
        ByteBuffer bytes = ByteBuffer.allocate(patterns.length * width).order(ByteOrder.LITTLE_ENDIAN);
        for (int pattern : patterns) {
            if (width == 1) {
                bytes.put((byte) pattern);
            } else {
                bytes.putShort((short) pattern);
            }
        }
        return bytes.array();
    }

    private Path file(String type, byte[] data, int width) throws IOException {
        String header = String.format("{\"t\":{\"dtype\":\"%s\",\"shape\":[%d],\"data_offsets\":[0,%d]}}", type,
                data.length / width, data.length);
        return Files.write(folder.resolve("file"), AdapterFiles.safetensors(header, data));
    }
}
