package io.github.dl4jlora.examples.enlarge;

import java.util.List;
import java.util.function.UnaryOperator;

/**
 * How close pictures come to their originals, as a mean over pictures. Colours have whole values, 0 to 255.
 *
 * @param psnr peak signal-to-noise ratio in decibels, 10·log₁₀(255² / mean squared error), over all colours
 * @param ssim structural similarity of the grey values, at most 1: Wang et al. 2004, doi 10.1109/TIP.2003.819861, with the
 *             paper's window of 11×11 pixels, Gaussian of deviation 1.5, and constants 0.01 and 0.03
 */
record Measure(double psnr, double ssim) {

    private static final int WINDOW = 11;
    private static final double DEVIATION = 1.5;
    private static final double C1 = 0.01 * Picture.BRIGHTEST * 0.01 * Picture.BRIGHTEST;
    private static final double C2 = 0.03 * Picture.BRIGHTEST * 0.03 * Picture.BRIGHTEST;
    private static final double[] GAUSSIAN = gaussian();

    /** {@return the means over pictures that are made half as large, and enlarged again} */
    static Measure of(List<Picture> pictures, UnaryOperator<Picture> enlarger) {
        double psnr = 0;
        double ssim = 0;
        for (Picture picture : pictures) {
            Picture enlarged = enlarger.apply(picture.half());
            psnr += psnr(enlarged, picture) / pictures.size();
            ssim += ssim(enlarged, picture) / pictures.size();
        }
        return new Measure(psnr, ssim);
    }

    static double psnr(Picture picture, Picture right) {
        double squares = 0;
        for (int colour = 0; colour < Picture.COLOURS; colour++) {
            for (int y = 0; y < picture.height(); y++) {
                for (int x = 0; x < picture.width(); x++) {
                    double error = picture.at(colour, y, x) - right.at(colour, y, x);
                    squares += error * error;
                }
            }
        }
        double mean = squares / picture.values().length;
        return 10 * Math.log10(Picture.BRIGHTEST * Picture.BRIGHTEST / mean);
    }

    /** The mean over all windows that lie in the picture. */
    static double ssim(Picture picture, Picture right) {
        double[] a = grey(picture);
        double[] b = grey(right);
        double sum = 0;
        int windows = 0;
        for (int y = 0; y + WINDOW <= picture.height(); y++) {
            for (int x = 0; x + WINDOW <= picture.width(); x++) {
                sum += similarity(a, b, y * picture.width() + x, picture.width());
                windows++;
            }
        }
        return sum / windows;
    }

    private static double similarity(double[] a, double[] b, int corner, int width) {
        double meanA = 0;
        double meanB = 0;
        double squareA = 0;
        double squareB = 0;
        double product = 0;
        for (int i = 0; i < WINDOW; i++) {
            for (int j = 0; j < WINDOW; j++) {
                double weight = GAUSSIAN[i] * GAUSSIAN[j];
                double valueA = a[corner + i * width + j];
                double valueB = b[corner + i * width + j];
                meanA += weight * valueA;
                meanB += weight * valueB;
                squareA += weight * valueA * valueA;
                squareB += weight * valueB * valueB;
                product += weight * valueA * valueB;
            }
        }
        double varianceA = squareA - meanA * meanA;
        double varianceB = squareB - meanB * meanB;
        double covariance = product - meanA * meanB;
        return (2 * meanA * meanB + C1) * (2 * covariance + C2)
                / ((meanA * meanA + meanB * meanB + C1) * (varianceA + varianceB + C2));
    }

    /** ITU-R BT.601. */
    private static double[] grey(Picture picture) {
        double[] grey = new double[picture.height() * picture.width()];
        for (int y = 0; y < picture.height(); y++) {
            for (int x = 0; x < picture.width(); x++) {
                grey[y * picture.width() + x] = 0.299 * picture.at(0, y, x) + 0.587 * picture.at(1, y, x)
                        + 0.114 * picture.at(2, y, x);
            }
        }
        return grey;
    }

    private static double[] gaussian() {
        double[] weights = new double[WINDOW];
        double sum = 0;
        for (int i = 0; i < WINDOW; i++) {
            double distance = i - WINDOW / 2;
            weights[i] = Math.exp(-distance * distance / (2 * DEVIATION * DEVIATION));
            sum += weights[i];
        }
        for (int i = 0; i < WINDOW; i++) {
            weights[i] /= sum;
        }
        return weights;
    }
}
