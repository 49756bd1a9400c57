package io.github.dl4jlora.onnx.adapter;

import org.jspecify.annotations.Nullable;

import java.util.Arrays;

/**
 * Which value of an input each value of a weight is: an exporter may have permuted, reshaped or cut what it was given.
 *
 * @param shape of the weight
 * @param ids   in the order of C, the place among the input's values counted from 1; 0 for a value that is none of them
 */
record Pick(long[] shape, int[] ids) {

    /**
     * A weight each dimension of which is one of the matrix's rows or of its columns, never both.
     *
     * @param shape    of the weight
     * @param isRow    by dimension, whether it runs along the matrix's rows
     * @param isColumn by dimension, likewise; neither for a dimension of size 1
     * @param rows     of the matrix, in the order of the first kind of dimensions
     * @param columns  of the matrix, in the order of the second kind
     */
    record Factors(long[] shape, boolean[] isRow, boolean[] isColumn, long[] rows, long[] columns) {

        /** Whether the weight is a matrix with rows in one dimension and columns in the other. */
        boolean isMatrix(int rowAxis, int columnAxis) {
            return isRow.length == 2 && !isColumn[rowAxis] && !isRow[columnAxis];
        }

        /** Whether the first dimension has the columns, and the others the rows. */
        boolean isColumnsFirst() {
            boolean others = false;
            for (int i = 1; i < isColumn.length; i++) {
                others |= isColumn[i];
            }
            return !isRow[0] && !others;
        }
    }

    boolean isWhole() {
        return Arrays.stream(ids).allMatch(id -> id > 0);
    }

    boolean isEmpty() {
        return Arrays.stream(ids).allMatch(id -> id == 0);
    }

    /** Whether it is all values in their order. */
    boolean isIdentity(long count) {
        return ids.length == count && isRange(ids, 1);
    }

    private static boolean isRange(int[] numbers, int first) {
        for (int i = 0; i < numbers.length; i++) {
            if (numbers[i] != first + i) {
                return false;
            }
        }
        return true;
    }

    /** A part of the first dimension, which stays, with size 1. */
    Pick slice(int index) {
        int length = ids.length / (int) shape[0];
        long[] part = shape.clone();
        part[0] = 1;
        return new Pick(part, Arrays.copyOfRange(ids, index * length, (index + 1) * length));
    }

    /**
     * The weight as rows and columns of a matrix, all of them checked.
     *
     * @param columns of the matrix that the ids count
     * @return null if it is nothing of that kind
     */
    @Nullable Factors factors(int columns) {
        if (!isWhole()) {
            return null;
        }
        int[] steps = new int[shape.length];
        int step = 1;
        for (int i = shape.length - 1; i >= 0; i--) {
            steps[i] = step;
            step *= (int) shape[i];
        }
        boolean[] isRow = new boolean[shape.length];
        boolean[] isColumn = new boolean[shape.length];
        for (int axis = 0; axis < shape.length; axis++) {
            for (int at = 1; at < shape[axis]; at++) {
                int id = ids[at * steps[axis]] - 1;
                isRow[axis] |= id / columns != (ids[0] - 1) / columns;
                isColumn[axis] |= id % columns != (ids[0] - 1) % columns;
            }
            if (shape[axis] > 1 && isRow[axis] == isColumn[axis]) {
                return null;
            }
        }
        long[] rowsPicked = new long[count(isRow)];
        long[] columnsPicked = new long[count(isColumn)];
        for (int at = 0; at < ids.length; at++) {
            int row = place(at, steps, isRow);
            int column = place(at, steps, isColumn);
            int id = ids[at] - 1;
            if (column == 0) {
                rowsPicked[row] = id / columns;
            }
            if (row == 0) {
                columnsPicked[column] = id % columns;
            }
        }
        for (int at = 0; at < ids.length; at++) {
            long expected = rowsPicked[place(at, steps, isRow)] * columns + columnsPicked[place(at, steps, isColumn)];
            if (ids[at] - 1 != expected) {
                return null;
            }
        }
        return new Factors(shape, isRow, isColumn, rowsPicked, columnsPicked);
    }

    private int count(boolean[] axes) {
        int count = 1;
        for (int i = 0; i < shape.length; i++) {
            count *= axes[i] ? (int) shape[i] : 1;
        }
        return count;
    }

    /** The place of a value along some dimensions, in the order of C. */
    private int place(int at, int[] steps, boolean[] axes) {
        int place = 0;
        for (int i = 0; i < steps.length; i++) {
            place = axes[i] ? place * (int) shape[i] + at / steps[i] % (int) shape[i] : place;
        }
        return place;
    }
}
