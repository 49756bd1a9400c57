package io.github.dl4jlora.internal.blas;

import org.nd4j.linalg.api.ndarray.INDArray;

import static org.bytedeco.openblas.global.openblas_nolapack.CblasNoTrans;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasTrans;

/**
 * How a matrix lies in memory.
 *
 * @param leading  distance from one column to the next, or from one row to the next; 0 if it lies in neither way
 * @param byColumn whether columns are without gaps; otherwise rows are
 */
public record Lie(int leading, boolean byColumn) {

    private static final Lie NEITHER = new Lie(0, false);

    public static Lie of(INDArray m) {
        long rows = m.size(0);
        long columns = m.size(1);
        long down = m.stride(0);
        long right = m.stride(1);
        boolean byColumn = (rows == 1 || down == 1) && (columns == 1 || right >= rows);
        if (byColumn) {
            return of(columns == 1 ? rows : right, true);
        }
        boolean byRow = (columns == 1 || right == 1) && (rows == 1 || down >= columns);
        return byRow ? of(rows == 1 ? columns : down, false) : NEITHER;
    }

    /** Whether the values of an array lie in 'c' order without gaps. ND4J gives dimensions of one number any stride. */
    public static boolean isPlain(INDArray array) {
        long stride = 1;
        for (int dimension = array.rank() - 1; dimension >= 0; dimension--) {
            if (array.size(dimension) > 1 && array.stride(dimension) != stride) {
                return false;
            }
            stride *= array.size(dimension);
        }
        return true;
    }

    /** The same for an array whose order ND4J calls 'c', too, as it need not where dimensions have one number. */
    public static boolean isPlainAndC(INDArray array) {
        return array.ordering() == 'c' && isPlain(array);
    }

    private static Lie of(long leading, boolean byColumn) {
        return leading > Integer.MAX_VALUE ? NEITHER : new Lie((int) leading, byColumn);
    }

    /** BLAS's flag for this matrix, transposed or not, in a call where everything is column-major. */
    int flag(boolean transposed) {
        return transposed == byColumn ? CblasTrans : CblasNoTrans;
    }
}
