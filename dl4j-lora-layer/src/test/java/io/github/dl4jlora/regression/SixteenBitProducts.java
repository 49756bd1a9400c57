package io.github.dl4jlora.regression;

import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.kernel.QuantizedProduct;
import io.github.dl4jlora.internal.quantized.QuantizedMatrix;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.util.Arrays;

/**
 * Prints by how many bytes the process grows over products in 16 bits. To be run with a heap whose pages are all there at the
 * start and with no collection, so that only memory outside of the heap counts, and nothing but the code itself gives it back.
 */
final class SixteenBitProducts {

    static final int PRODUCTS = 30;
    static final int ROWS = 4000;
    static final int OUTPUTS = 1000;
    private static final int INPUTS = 64;

    private SixteenBitProducts() {
    }

    public static void main(String[] arguments) throws IOException {
        QuantizedProduct w = new QuantizedProduct(QuantizedMatrix.of(Quantization.INT8, OUTPUTS, INPUTS,
                (line, values) -> Arrays.fill(values, line)), DataType.HALF, true);
        INDArray x = Nd4j.ones(DataType.HALF, ROWS, INPUTS);
        INDArray z = Nd4j.create(DataType.HALF, ROWS, OUTPUTS);
        // The allocator keeps some of what the first ones gave back.
        multiply(w, x, z);
        long before = ResidentBytes.now();
        multiply(w, x, z);
        System.out.println(ResidentBytes.GROWN_BY + (ResidentBytes.now() - before));
    }

    private static void multiply(QuantizedProduct w, INDArray x, INDArray z) {
        for (int i = 0; i < PRODUCTS; i++) {
            w.times(x, z);
        }
    }
}
