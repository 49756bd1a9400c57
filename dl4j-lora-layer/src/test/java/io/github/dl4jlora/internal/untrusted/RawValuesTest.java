package io.github.dl4jlora.internal.untrusted;

import io.github.dl4jlora.Networks;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.Channels;
import java.nio.channels.ReadableByteChannel;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Values as bytes, in chunks of 2^20: also where an array ends with a chunk, or goes on a little after it. */
class RawValuesTest {

    private static final int CHUNK = 1 << 20;

    private static INDArray counted(int length) {
        float[] values = new float[length];
        for (int i = 0; i < length; i++) {
            values[i] = i;
        }
        return Nd4j.createFromArray(values);
    }

    private static byte[] bytes(INDArray flat) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        RawValues.write(flat, out);
        return out.toByteArray();
    }

    @ParameterizedTest
    @ValueSource(ints = {1, CHUNK, CHUNK + 3})
    void bytesAreTheValuesInOrderWhateverTheirNumber(int length) throws IOException, NoSuchAlgorithmException {
        INDArray values = counted(length);
        ByteBuffer expected = ByteBuffer.allocate(length * 4).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < length; i++) {
            expected.putFloat(i);
        }

        byte[] bytes = bytes(values);

        assertThat(bytes).isEqualTo(expected.array());
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        RawValues.digest(values, digest);
        assertThat(digest.digest()).isEqualTo(MessageDigest.getInstance("SHA-256").digest(bytes));
        assertThat(RawValues.read(new ByteArrayInputStream(bytes), DataType.FLOAT, length)).isEqualTo(values);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, CHUNK - 1, CHUNK, CHUNK + 2})
    void theFirstThatIsNotFiniteIsFoundWhereverItIs(int position) {
        INDArray values = counted(CHUNK + 3);
        assertThat(RawValues.firstNotFinite(values)).isEqualTo(-1);

        values.putScalar(position, Float.NaN);
        assertThat(RawValues.firstNotFinite(values)).isEqualTo(position);

        values.putScalar(CHUNK + 2, Float.NEGATIVE_INFINITY);
        assertThat(RawValues.firstNotFinite(values)).as("the first of two").isEqualTo(position);
    }

    @Test
    void positionsAreThoseOfRowsWhateverTheOrderInMemory() {
        INDArray columns = Nd4j.create(DataType.DOUBLE, new long[] {3, 4}, 'f');
        columns.putScalar(1, 2, Double.POSITIVE_INFINITY);

        assertThat(RawValues.firstNotFinite(columns)).isEqualTo(6);
        assertThat(RawValues.firstNotFinite(columns.transpose())).isEqualTo(7);
    }

    @Test
    void anArrayThatLiesInRowsIsNotCopied() {
        INDArray rows = Networks.random(DataType.FLOAT, 1, 3, 4);

        assertThat(RawValues.isFlat(rows)).isTrue();
        assertThat(RawValues.flat(rows).data().address()).isEqualTo(rows.data().address());
        assertThat(RawValues.flat(rows).shape()).containsExactly(12);
        assertThat(RawValues.isFlat(rows.transpose())).isFalse();
        assertThat(RawValues.flat(rows.transpose())).isEqualTo(rows.transpose().dup('c').reshape(12));
        assertThat(RawValues.isFlat(rows.getColumn(1))).as("every fourth value").isFalse();
    }

    @Test
    void noMoreThanTheValuesIsReadOfAStream() throws IOException {
        ByteArrayInputStream in = new ByteArrayInputStream(new byte[17]);

        assertThat(RawValues.read(in, DataType.FLOAT, 2, 2)).isEqualTo(Nd4j.zeros(DataType.FLOAT, 2, 2));
        assertThat(in.available()).isEqualTo(1);
        assertThatThrownBy(() -> RawValues.read(in, DataType.FLOAT, 1)).isInstanceOf(EOFException.class)
                .hasMessage("It ends before 1 values of type FLOAT");
    }

    @Test
    void whetherAllValuesWereThereIsSaid() throws IOException {
        INDArray values = Nd4j.zeros(DataType.FLOAT, CHUNK + 1);
        byte[] bytes = new byte[4 * CHUNK + 4];

        assertThat(RawValues.fill(values, Channels.newChannel(new ByteArrayInputStream(bytes)))).isTrue();
        assertThat(RawValues.fill(values, Channels.newChannel(new ByteArrayInputStream(bytes, 0, bytes.length - 1)))).isFalse();
    }

    @Test
    void aChannelThatHasNothingForAMomentIsAskedAgain() throws IOException {
        ReadableByteChannel bytes = Channels.newChannel(new ByteArrayInputStream(new byte[] {1, 2, 3}));
        boolean[] asked = {false};
        ReadableByteChannel slow = new ReadableByteChannel() {
            @Override
            public int read(ByteBuffer to) throws IOException {
                asked[0] = !asked[0];
                return asked[0] ? 0 : bytes.read(to);
            }

            @Override
            public boolean isOpen() {
                return true;
            }

            @Override
            public void close() {
            }
        };
        ByteBuffer read = ByteBuffer.allocate(3);

        assertThat(RawValues.fill(read, slow)).isTrue();
        assertThat(read.array()).containsExactly(1, 2, 3);
    }

    @Test
    void anArrayWhoseFillingFailsIsGivenBackAtOnce() {
        List<INDArray> made = new ArrayList<>();

        assertThatThrownBy(() -> RawValues.filled(DataType.FLOAT, 3, values -> {
            made.add(values);
            throw new IOException("no more");
        })).isInstanceOf(IOException.class).hasMessage("no more");

        assertThat(made).singleElement().satisfies(values -> assertThat(values.data().wasClosed()).isTrue());
    }
}
